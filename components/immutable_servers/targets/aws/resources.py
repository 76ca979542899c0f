"""`AwsFleet <generation>`: opens the way for checks, and waits until its servers are healthy."""

from collections.abc import Mapping
from typing import Any

from pulumi import Input, Output, ResourceOptions, dynamic

from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.aws import access, servers
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.settings import AwsSettings


class AwsFleetProvider(Provider):
    """Waits; what is not healthy when time is over is for the verification to say."""

    updates = ("servers",)
    needs = ("group", "balancer", "window_ends")

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Wait for the first servers."""
        self.require(props)
        scope = Scope.from_plain(props["scope"])
        return dynamic.CreateResult(scope.name, _wait(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Wait for another number of servers."""
        return dynamic.UpdateResult(_wait(news))


def _wait(props: dict[str, Any]) -> dict[str, Any]:
    scope = Scope.from_plain(props["scope"])
    api = Api(AwsSettings.model_validate(restore_numbers(props["settings"])))
    launch = Launch.from_plain(restore_numbers(props["launch"]))
    access.open_way(api, scope, int(props["window_ends"]))
    healthy = servers.wait_until_launched(api, scope, launch, start_saying("launch", scope))
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
