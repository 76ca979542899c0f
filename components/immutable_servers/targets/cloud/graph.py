"""What every cloud's graph does alike: options that adopt, a maker for each generation, checks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import LaunchError, SettingsError


class Maker(Protocol):
    """Declares one generation's resources."""

    def prepare(self) -> Sequence[pulumi.CustomResource]:
        """Declare what takes its time before a server can be launched; return what it waits for.

        The first of it depends on the service's route.
        """

    def declare(
        self, spec: Mapping[str, Input[Any]], opts: ResourceOptions
    ) -> pulumi.CustomResource:
        """Declare the servers; return what is done when they are healthy."""


class CloudGraph(Graph):
    """The resources of a stack on a cloud, declared with its official provider.

    Attributes:
        maker: What declares a generation.
        found: What the cloud has already.
        plain: The target's settings, for providers of ours.
        provider: The official provider.
        last: Of each service, what depends on its route in the generation declared last.
        answers_at: The balancer's name or address, once it is declared.
    """

    maker: ClassVar[Callable[..., Maker]]
    found: Any
    settings: Any
    provider: pulumi.ProviderResource
    answers_at: Output[str] | None = None

    def __init__(self, scope: Scope, owner: Owner, fleets: Any, ownership: Any) -> None:  # noqa: ANN401 - the cloud's own
        self.scope, self.owner = scope, owner
        self.fleets, self.ownership = fleets, ownership
        self.api, self.settings = fleets.api, fleets.api.settings
        self.plain = self.settings.model_dump(mode="json")
        self.makers: dict[str, Maker] = {}
        self.last: dict[str, pulumi.CustomResource] = {}

    def prepare_fleet(
        self, name: str, scope: Scope, launch: Launch, *, frozen: bool, opts: ResourceOptions
    ) -> Sequence[pulumi.CustomResource]:
        """Declare who reaches a generation's servers, and where the balancer finds them.

        Raises:
            LaunchError: The balancer was not declared before.
        """
        if self.answers_at is None:
            raise LaunchError("A fleet is declared after its balancer", facts=[name])
        maker = self.maker(self, name, scope, launch, frozen=frozen, opts=opts)
        self.makers[name], prepared = maker, maker.prepare()
        if frozen:  # a fresh one may fail, and holds up nobody
            self.last[scope.service] = prepared[0]
        return prepared

    def declare_fleet(
        self, name: str, spec: Mapping[str, Input[Any]], *, frozen: bool, opts: ResourceOptions
    ) -> pulumi.CustomResource:
        """Declare a generation's servers, ending with what waits for them."""
        del frozen  # as it was prepared
        return self.makers[name].declare(spec, opts)

    def declare_address(self, route: Route, scope: Scope) -> Input[str]:
        """Return where a service answers: a first run makes the balancer's name."""
        role, place = self.fleets.balancer, self._find_place(route)
        if route.host or place is None:
            return str(role.find_address(route, scope))
        return place.apply(lambda name: str(role.render_address(route, name)))

    def _find_place(self, route: Route) -> Output[str] | None:
        """Return the name or address of a route's balancer; None until it is declared.

        Not this one where each service has a balancer of its own.
        """
        del route
        return self.answers_at

    def write_owner_after(self, place: Output[Any]) -> None:
        """Record the owner once its place is made: as the update began there was none yet."""
        place.apply(lambda _: self._write_owner())

    def _write_owner(self) -> None:
        self.api.asked.stop()  # what was not there is now
        self.ownership.write_owner(self.owner)

    def options(
        self,
        opts: ResourceOptions,
        found: str | None,
        *,
        ignore: Sequence[str] | None = None,
        depends: Sequence[pulumi.Resource] = (),
        retain: bool = False,
    ) -> ResourceOptions:
        """Return a resource's options: with our provider, and adopting what is there."""
        own = ResourceOptions(
            retain_on_delete=retain or None,
            provider=self.provider,
            import_=found,
            ignore_changes=list(ignore) if ignore else None,
            depends_on=list(depends),
        )
        return ResourceOptions.merge(opts, own)

    def keep(
        self,
        found: str | None,
        *,
        ignore: Sequence[str] = (),
        depends: Sequence[pulumi.Resource] = (),
    ) -> ResourceOptions:
        """Return the options of what leads to servers: the engine only lets go of it."""
        opts = ResourceOptions()
        return self.options(opts, found, ignore=ignore, depends=depends, retain=True)


def refuse_others(what: str, service: str, others: Sequence[str]) -> None:
    """Refuse a route that leads to another service's servers until the end of this run.

    Args:
        what: The port or the host.
        service: Whose route it is to be; empty for the redirect.
        others: The servers that are not the service's, in a cloud's words.

    Raises:
        SettingsError: There are some.
    """
    if not others:
        return
    if not service:
        raise SettingsError(
            f"{what} cannot redirect yet: it still leads to servers",
            facts=others,
            todo="Run without redirect first, so that its service has the new route alone.",
        )
    raise SettingsError(
        f"{what} still leads to servers of another service",
        facts=others,
        todo="Give this one another route first, and take out the other service, or its route, in"
        " a run before.",
    )
