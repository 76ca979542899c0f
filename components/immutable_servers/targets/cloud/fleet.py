"""Resources of ours beside a cloud's own: what waits for servers, and what ends a generation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.contract.values import Launch, Say, Scope
from immutable_servers.resources.declared import find_declared
from immutable_servers.resources.dynamic import Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.cloud.pointer import CloudProvider


class EndProvider(CloudProvider):
    """Acts when a thing ends, once the engine has let go of what depends on this."""

    needs = ("way",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Make nothing: what the thing consists of depends on this, and comes next."""
        self.require(props)
        return dynamic.CreateResult(Scope.from_plain(props["scope"]).name, props)


class GenerationProvider(EndProvider):
    """Deletes a generation in place of the engine, which would not ask who is served."""

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete all that a generation has; one that the run declares goes on."""
        scope = Scope.from_plain(props["scope"])
        if f"{scope.service}-{scope.generation}" not in find_declared().generations:
            self.load(props).fleets.delete(scope)


class CloudEnd(Resource, module="immutable-servers", name="CloudEnd"):
    """The end of a thing, before or after what it consists of."""

    def __init__(
        self,
        provider: EndProvider,
        name: str,
        inputs: Mapping[str, Input[Any]],
        opts: ResourceOptions,
    ) -> None:
        """Register under the thing's name."""
        super().__init__(provider, name, inputs, (), opts)


class FleetProvider(CloudProvider):
    """Waits; what is not healthy when time is over is for the verification to say."""

    updates: ClassVar[Sequence[str]] = ("servers",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait for the first servers."""
        self.require(props)
        return dynamic.CreateResult(Scope.from_plain(props["scope"]).name, self._wait(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait for another number of servers."""
        return dynamic.UpdateResult(self._wait(news))

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        scope, target = Scope.from_plain(props["scope"]), self.load(props)
        target.access.open_way(scope, int(props["window_ends"]))
        self._lead(target, scope)
        seconds = target.settings.boot_deadline
        say = start_saying("launch", scope)
        healthy = target.fleets.wait_until_launched(scope, seconds, say)
        if healthy:
            self._ask_front(target, Launch.from_plain(props["launch"]), scope, say)
        return {**props, "reference": {"generation": scope.generation, "servers": healthy}}

    def _lead(self, target: Any, scope: Scope) -> None:  # noqa: ANN401 - a cloud's own target
        """Have the balancer know the servers, where that is no resource of its own."""

    def _ask_front(self, target: Any, launch: Launch, scope: Scope, say: Say) -> None:  # noqa: ANN401 - a cloud's own target
        """See that the balancer's nodes know the servers, where they can be asked before a move."""


class CloudFleet(Resource, module="immutable-servers", name="CloudFleet"):
    """A generation's servers, once their group has launched them.

    Attributes:
        reference: `{"generation": …, "servers": …}`.
    """

    reference: Output[dict[str, Any]]

    def __init__(
        self,
        provider: FleetProvider,
        name: str,
        inputs: Mapping[str, Input[Any]],
        *,
        frozen: bool,
        opts: ResourceOptions,
    ) -> None:
        """Register under the generation's name; a frozen one takes how many servers it has."""
        ignored = [key for key in inputs if key not in provider.updates] if frozen else None
        merged = ResourceOptions.merge(opts, ResourceOptions(ignore_changes=ignored))
        super().__init__(provider, name, inputs, ("reference",), merged)
