"""The aws target: EC2 Auto Scaling groups behind an Application Load Balancer."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from immutable_servers.contract.ownership import Ask, Leftover, Owner
from immutable_servers.contract.target import Catalog, Packer, Target
from immutable_servers.contract.values import (
    Answers,
    Artifact,
    BakeRequest,
    Fleet,
    FleetSpec,
    Health,
    Launch,
    Login,
    Route,
    Say,
    Scope,
    Server,
)
from immutable_servers.errors import ImmutableError, LaunchError
from immutable_servers.targets.aws import (
    access,
    answers,
    balancer,
    dead_bakes,
    fleets,
    leftovers,
    login_keys,
    owners,
    probes,
    retirement,
    servers,
    ssh,
    template,
)
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.artifacts import AwsCatalog
from immutable_servers.targets.aws.bake import bake_image
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.upstream import find_upstream

if TYPE_CHECKING:
    import pulumi

    from immutable_servers.targets.aws.declared import Declared

__all__ = ["AwsSettings", "AwsTarget"]


class AwsTarget(Target):
    """Servers and a load balancer in one region of an AWS account."""

    name = "aws"
    settings_model = AwsSettings

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = AwsSettings.model_validate(settings)
        self.architecture = self.settings.architecture
        self.api = Api(self.settings)
        self._declared: Declared | None = None
        self._owner: Owner | None = None

    # images
    @property
    def catalog(self) -> Catalog:
        """The AMIs of the account, and those that are shared with it."""
        return AwsCatalog(self.api)

    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Ask for the newest Debian AMI, in every region that is enabled."""
        return find_upstream(self.api, image_settings.get("upstream") or {}, say)

    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Bake on an instance of EC2, into an AMI that is tagged when it is whole."""
        return bake_image(request, packer, self.api)

    # the graph
    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return the instance type."""
        return {"instance_type": self.settings.find_instance_type(size)}

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what the launch template gets from our code, and where servers stand."""
        return {
            **template.render_shape(self.settings, launch),
            **template.describe_place(self.settings),
        }

    def declare_balancer(
        self, scope: Scope, routes: Sequence[Route], opts: "pulumi.ResourceOptions"
    ) -> "pulumi.CustomResource":
        """Declare the stack's load balancer, with a pointer for each service."""
        from immutable_servers.targets.aws.declared import (  # noqa: PLC0415 - imports pulumi_aws
            declare_balancer,
        )

        ssh.check_route(self.settings)
        self._declared = declare_balancer(self.api, scope, routes, opts)
        made: pulumi.CustomResource = self._declared.balancer
        if self._owner and not self._declared.found.balancer:  # it was too early to record it
            owner = self._owner
            self._declared.balancer.arn.apply(
                lambda arn: owners.write_owner(self.api, str(arn), owner)
            )
        return made

    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, "pulumi.Input[Any]"],
        *,
        frozen: bool,
        opts: "pulumi.ResourceOptions",
    ) -> "pulumi.CustomResource":
        """Declare launch template and group; `frozen` ignores all changes but the server count.

        Raises:
            LaunchError: The balancer was not declared before.
        """
        from immutable_servers.targets.aws.generation import (  # noqa: PLC0415 - imports pulumi_aws
            Maker,
        )

        if self._declared is None:
            raise LaunchError("A fleet is declared after its balancer", facts=[name])
        return Maker(self._declared, name, spec, frozen=frozen, opts=opts).declare()

    # what exists and serves
    def find_fleets(self, scope: Scope) -> Mapping[str, Fleet]:
        """Ask for the Auto Scaling groups with the service's tags."""
        return fleets.find_fleets(self.api, scope)

    def find_traffic(self, scope: Scope) -> Mapping[str, int]:
        """Ask the listener, or the rule of a service by host name."""
        return balancer.find_traffic(self.api, scope)

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Ask for the group's instances."""
        return servers.find_servers(self.api, scope)

    def find_health(self, scope: Scope, launch: Launch) -> Sequence[Health]:
        """Ask the target group for the health of every server, and which it holds."""
        return servers.find_health(self.api, scope, launch)

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask CloudWatch, which is some minutes late."""
        return answers.find_answers(self.api, scope)

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return failed launches, instances' state and status checks, and the end of consoles."""
        return servers.find_trouble(self.api, scope)

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return the load balancer's address for a route, or the host that names it."""
        found = None if route.host else balancer.find_balancer(self.api, scope)
        return self._render_address(route, found["DNSName"] if found else "")

    def declare_address(self, route: Route, scope: Scope) -> "pulumi.Input[str]":
        """Return the same from the declared load balancer: a first run makes its name."""
        if route.host or self._declared is None:
            return self.find_address(route, scope)
        address: pulumi.Output[str] = self._declared.balancer.dns_name.apply(
            lambda name: self._render_address(route, str(name))
        )
        return address

    def _render_address(self, route: Route, name: str) -> str:
        scheme = self.settings.protocol.lower()
        port = route.port or self.settings.host_port
        end = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
        return f"{scheme}://{route.host or name or 'not-yet-there'}{end}"

    # acting
    def make_key(self, scope: Scope) -> str:
        """Make or find the key in this machine's data folder."""
        return login_keys.make_key(scope)

    def delete_key(self, scope: Scope) -> None:
        """Delete it there."""
        login_keys.delete_key(scope)

    def find_logins(self, scope: Scope) -> Sequence[Login]:
        """Open the way to the servers, and wait until each takes a login."""
        return access.find_logins(self.api, scope)

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Write the ssh configuration while the key is here; ask no server."""
        return access.describe_logins(self.api, scope)

    def start_probe(self, spec: FleetSpec, say: Say) -> AbstractContextManager[Login]:
        """Launch one open instance outside of any group."""
        return probes.start_probe(self.api, spec, say)

    def close_window(self, scope: Scope, say: Say) -> None:
        """Have the servers seal themselves, and remove the way to them."""
        access.close_window(self.api, scope, say)

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Change the weights of the service's pointer, and read it back.

        What is scaled keeps its count as a standby, so that going back to it is no boot; with
        traffic it may shrink again.
        """
        before = balancer.find_traffic(self.api, scope) if self.settings.scaling else {}
        balancer.set_traffic(self.api, scope, weights)
        if not self.settings.scaling:
            return
        for generation in {*before, *weights} if weights else ():
            change = fleets.release_count if weights.get(generation) else fleets.hold_count
            change(self.api, replace(scope, generation=generation))

    def delete_fleet(self, scope: Scope) -> None:
        """Delete group, target group and launch template of a generation."""
        retirement.delete_fleet(self.api, scope)

    def drain(self, scope: Scope, seconds: float, say: Say) -> None:
        """Deregister the servers, and wait until the load balancer has drained them."""
        retirement.drain(self.api, scope, seconds, say)

    # whose things they are
    def find_owner(self, scope: Scope) -> Owner | None:
        """Read it from the load balancer's tags."""
        return owners.find_owner(self.api, scope)

    def begin_update(self, owner: Owner, declared: Collection[str]) -> None:
        """Record the owner, close ways to servers and end probes that dead runs have left.

        What cannot be tidied now keeps no update from going on.
        """
        del declared
        self._owner = owner
        owners.record_owner(self.api, owner)
        scope = Scope(owner.project, owner.stack)
        for tidy in (access.close_stale_ways, dead_bakes.remove_probes):
            with suppress(ImmutableError):
                tidy(self.api, scope)

    def find_leftovers(self, ask: Ask) -> Sequence[Leftover]:
        """Look in the stack's region for what bakes, probes, checks and dead runs have left."""
        return leftovers.find_leftovers(self.api, ask)

    def remove_leftover(self, leftover: Leftover, ask: Ask) -> bool:
        """Remove one when it still is left over."""
        return leftovers.remove_leftover(self.api, leftover, ask)
