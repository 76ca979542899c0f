"""`AwsFleet <generation>`: opens the way for checks, and waits until its servers are healthy."""

from collections.abc import Mapping
from typing import Any

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.values import Scope
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.aws import AwsTarget


class AwsFleetProvider(Provider):
    """Waits; what is not healthy when time is over is for the verification to say."""

    updates = ("servers",)
    needs = ("group", "balancer", "window_ends")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait for the first servers."""
        self.require(props)
        return dynamic.CreateResult(Scope.from_plain(props["scope"]).name, _wait(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait for another number of servers."""
        return dynamic.UpdateResult(_wait(news))


def _wait(props: dict[str, Any]) -> dict[str, Any]:
    scope = Scope.from_plain(props["scope"])
    target = AwsTarget(restore_numbers(props["settings"]))
    target.access.open_way(scope, int(props["window_ends"]))
    seconds = target.settings.boot_deadline
    healthy = target.fleets.wait_until_launched(scope, seconds, start_saying("launch", scope))
    return {**props, "reference": {"generation": scope.generation, "servers": healthy}}


class AwsFleet(Resource, module="immutable-servers", name="AwsFleet"):
    """A generation's servers, once its Auto Scaling group has launched them.

    Attributes:
        reference: `{"generation": …, "servers": …}`.
    """

    reference: Output[dict[str, Any]]

    def __init__(
        self, name: str, inputs: Mapping[str, Input[Any]], *, frozen: bool, opts: ResourceOptions
    ) -> None:
        """Register under the generation's name; a frozen one takes only a number of servers."""
        ignored = [key for key in inputs if key != "servers"] if frozen else None
        merged = ResourceOptions.merge(opts, ResourceOptions(ignore_changes=ignored))
        super().__init__(AwsFleetProvider(), name, inputs, ("reference",), merged)
