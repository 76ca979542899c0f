"""Outputs that a resource waits for, and does not depend on in the state.

A run with `--target`, as `retire` is, writes what it leaves out as the state has it, and where the
program declares it. Written before what it depends on, or without that, it makes a state that the
engine refuses to read ("snapshot integrity error").
"""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pulumi import CustomResource, Output, Resource
from pulumi.runtime import get_root_resource

if TYPE_CHECKING:
    from collections.abc import Awaitable

Value = TypeVar("Value")


def drop_dependency(output: Output[Value]) -> Output[Value]:
    """Return the output's value without the resource that it came from.

    Images outlive what is launched from them: a targeted update that replaces an image would write
    a live fleet before its dependency.
    """
    future = cast("Awaitable[Value]", output.future())
    return Output(set(), future, output.is_known(), output.is_secret())


def wait_for(resource: CustomResource) -> Output[str]:
    """Return a resource's id, once it is declared; known also in a run that leaves it out.

    Of what exists already the state may say that it depends on the resource, or no longer hold it.
    """
    future = cast("Awaitable[str]", resource.id.future())
    return Output(set(), future, Output.from_input("").is_known())


def wait_for_exports() -> Output[list[Resource]] | list[Resource]:
    """Return no resources, once the engine has what the program exports or that has failed.

    For `depends_on` of a resource that fails a run: the engine drops exports that come after it
    (`stackOutputsEvent` in
    https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/resource/deploy/step_executor.go).
    The SDK says of no registration of outputs when it has ended, so whatever task it begins for it
    is watched.
    """
    stack: Any = get_root_resource()
    if stack._outputs_registered:  # noqa: SLF001 - where a program runs in a stack that has ended
        return []
    ended: asyncio.Future[list[Resource]] = asyncio.get_event_loop().create_future()
    register = stack.register_outputs

    def register_outputs(outputs: Any) -> None:  # noqa: ANN401 - as the SDK takes them
        before = asyncio.all_tasks()
        register(outputs)
        begun = asyncio.gather(*asyncio.all_tasks() - before, return_exceptions=True)
        begun.add_done_callback(lambda _: ended.set_result([]))

    stack.register_outputs = register_outputs
    return Output(set(), ended, Output.from_input("").is_known())
