"""What a program declares, as the engine would get it: Pulumi's mocks, with a memory."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pulumi
from pulumi.runtime import mocks

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Route, Scope

STACK = Scope("project", "dev")
WEB = Scope("project", "dev", "web", "3f2a9c41")
NAME = "web-3f2a9c41"
LAUNCH = {"size": "small", "port": 80, "health": "/healthz", "env": {"GREETING": "hello"}}
ROUTES = (Route("web", 8080), Route("api", 0, "api.example.com"))


class Monitor(mocks.MockMonitor):
    """Keeps each registration as the engine would get it, with its options."""

    def __init__(self, recorder: mocks.Mocks) -> None:
        super().__init__(recorder)
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - the stub's own
        """Remember the request by the last part of its type, and its name."""
        self.requests[f"{request.type.rpartition(':')[2]} {request.name}"] = request
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class Recorder(mocks.Mocks):
    """Answers as providers would, and remembers what was registered.

    Attributes:
        seen: Inputs, by the last part of a type and the name.
        address: Where the first service answers.
        owned: What was written of the stack's owner.
        late: What had been registered when the slow resource was answered; see `declare_two`.
    """

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}
        self.address = ""
        self.owned: list[Any] = []
        self.late: list[str] = []
        self.monitor = Monitor(self)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Hand back the inputs with what the provider adds."""
        kind = args.typ.rpartition(":")[2]
        self.seen[f"{kind} {args.name}"] = args.inputs
        return self.answer(kind, args)

    def answer(self, kind: str, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Return a resource's id and outputs."""
        return f"{kind}-{args.name}-id", {**self.add(kind, args.name), **args.inputs}

    def add(self, kind: str, name: str) -> Mapping[str, Any]:
        """Return what a provider adds to the inputs."""
        del kind, name
        return {}

    def call(self, args: mocks.MockCallArgs) -> Any:  # noqa: ANN401 - never returns
        """No invoke is made."""
        raise AssertionError(args.token)

    def find_dependencies(self, resource: str) -> set[str]:
        """Return what a resource depends on, as type and name."""
        urns = self.monitor.requests[resource].dependencies
        return {
            f"{one.rpartition('::')[0].rpartition(':')[2]} {one.rpartition('::')[2]}"
            for one in urns
        }


def make_spec(artifact: str, record: Mapping[str, Any], /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - plain values
    """Return a generation's spec as `Generation` hands it over."""
    spec = {
        "scope": WEB.to_plain(),
        "artifact": artifact,
        "launch": LAUNCH,
        "servers": 2,
        "record": {"generation": WEB.generation, "order": 1, **record},
        "balancer": "balancer-id",
        "public_key": "ssh-ed25519 AAAA",
        "window_ends": 99,
    }
    return {**spec, **changes}


def declare_stack(
    recorder: Recorder,
    start: Callable[[Owner], Graph],
    routes: Sequence[Route],
    spec: Mapping[str, Any],
    *,
    frozen: bool,
) -> None:
    """Declare a balancer and one generation, with what `start` makes of the stack's owner."""
    owner = Owner("file:///state", "0a1b", "organization", "project", "dev", "/checkout")
    mocks.set_mocks(recorder, project="project", stack="dev", monitor=recorder.monitor)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        graph = start(owner)
        graph.declare_balancer(routes, ["small"], pulumi.ResourceOptions(protect=True))
        opts = pulumi.ResourceOptions()
        launch = Launch.from_plain(spec["launch"])
        graph.prepare_fleet(NAME, WEB, launch, frozen=frozen, opts=opts)
        graph.declare_fleet(NAME, spec, frozen=frozen, opts=opts)
        address = graph.declare_address(routes[0], STACK)
        pulumi.Output.from_input(address).apply(partial(setattr, recorder, "address"))

    program()


def declare_two(recorder: Recorder, start: Callable[[Owner], Graph], slow: str) -> None:
    """Declare two frozen generations; the first one's `slow` kind of resource takes its time."""
    owner = Owner("file:///state", "0a1b", "organization", "project", "dev", "/checkout")
    answer = recorder.answer

    def answer_late(kind: str, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if f"{kind} {args.name}" == f"{slow} {NAME}":
            time.sleep(0.5)  # all that waits for nothing is declared meanwhile
            recorder.late = [*recorder.seen]
        return answer(kind, args)

    recorder.answer = answer_late  # type: ignore[method-assign]
    mocks.set_mocks(recorder, project="project", stack="dev", monitor=recorder.monitor)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        graph = start(owner)
        opts = pulumi.ResourceOptions()
        graph.declare_balancer(ROUTES, ["small"], opts)
        for scope in (WEB, replace(WEB, generation="00000002")):
            name = f"{scope.service}-{scope.generation}"
            graph.prepare_fleet(name, scope, Launch.from_plain(LAUNCH), frozen=True, opts=opts)

    program()
