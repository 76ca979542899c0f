"""What a target declares in a run's graph; the object remembers what was declared."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from immutable_servers.contract.values import Launch, Route, Scope

if TYPE_CHECKING:
    import pulumi


class Graph(ABC):
    """The resources of one stack, declared in one run of the program."""

    @abstractmethod
    def declare_balancer(
        self, routes: Sequence[Route], sizes: Collection[str], opts: "pulumi.ResourceOptions"
    ) -> "pulumi.CustomResource":
        """Declare the stack's load balancer, its pointers left alone.

        `sizes` are those of the servers that it has to reach: not every place has all.
        """

    def prepare_fleet(
        self,
        name: str,
        scope: Scope,
        launch: Launch,
        *,
        frozen: bool,
        opts: "pulumi.ResourceOptions",
    ) -> Sequence["pulumi.CustomResource"]:
        """Declare what a fleet needs beside servers; their login window opens once that is there.

        Not abstract: a fleet may need nothing else.
        """
        del name, scope, launch, frozen, opts
        return ()

    @abstractmethod
    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, "pulumi.Input[Any]"],
        *,
        frozen: bool,
        opts: "pulumi.ResourceOptions",
    ) -> "pulumi.CustomResource":
        """Declare launch template and fleet from `FleetSpec`'s fields, some of them Outputs.

        `spec` also holds `balancer`, the balancer's id, so that it comes first. `frozen` ignores
        every change but the server count. `prepare_fleet` has been called before.
        """

    @abstractmethod
    def declare_address(self, route: Route, scope: Scope) -> "pulumi.Input[str]":
        """Return where a service answers, an Output where only the run learns it."""
