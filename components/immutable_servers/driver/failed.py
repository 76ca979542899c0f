"""Updates, and after a failed verification the removal of candidates that are not to stay."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.display import Plain
from immutable_servers.driver.known import KnownStack, read_known
from immutable_servers.driver.project import read_values
from immutable_servers.driver.results import Outcome
from immutable_servers.driver.runs import RunError, update
from immutable_servers.errors import ImmutableError, VerificationError
from immutable_servers.records import State
from immutable_servers.requests import Request

REMOVE = "remove"


def follow(root: Path, stack: str, display: Plain, request: Request | None = None) -> Outcome:
    """Run `pulumi up`, and after a failure remove the candidates that are not to stay.

    Raises:
        RunError: It failed, or was interrupted; with what failed of the removal.
    """
    try:
        return update(root, stack, display, request)
    except RunError as error:
        if error.exit_code != VerificationError.exit_code:
            raise
        raise RunError([*error.errors, *_remove_failed(root, stack)], error.exit_code) from None


def delete_generations(
    root: Path, stack: str, going: Mapping[str, Sequence[str]], display: Plain
) -> Outcome:
    """Run the engine on these generations alone, and on the pointers that name them.

    Raises:
        RunError: It failed, or was interrupted.
    """
    targets = [
        pattern
        for name, generations in going.items()
        for pattern in (
            f"**:Release::{name}",
            f"**:Traffic::{name}",
            *(f"**::{name}-{generation}*" for generation in generations),
        )
    ]
    request = Request(retire={name: list(each) for name, each in going.items()})
    return update(root, stack, display, request, targets)


def _remove_failed(root: Path, stack: str) -> Sequence[ImmutableError]:
    """Delete the failed candidates of services with `on_failure: remove`; return what failed."""
    if not _removes(root, stack):
        return ()
    try:
        going = dict(_find_failed(read_known(root, stack)))
        if going:
            delete_generations(root, stack, going, Plain({}))
    except RunError as error:
        return error.errors
    except ImmutableError as error:
        return (error,)
    names = ", ".join(f"{name}-{one}" for name, each in going.items() for one in each)
    if names:
        console.say(f"Removed {names} (on_failure: remove); what serves was not touched")
    return ()


def _removes(root: Path, stack: str) -> bool:
    """Tell whether any service has `on_failure: remove`, without more work than needed."""
    services = read_values(root, stack).get("services")
    found = services.values() if isinstance(services, Mapping) else ()
    return any(isinstance(one, Mapping) and one.get("on_failure") == REMOVE for one in found)


def _find_failed(stack: KnownStack) -> Iterator[tuple[str, Sequence[str]]]:
    for name, settings in stack.settings.services.items():
        service = stack.services.get(name)
        if service is None or settings.on_failure != REMOVE:
            continue
        failed = [record.generation for record in service.list_in(State.CANDIDATE)]
        if failed and service.live is None:
            console.say(f"{name}: the failed candidate stays, as nothing serves beside it")
        elif failed:
            yield name, failed
