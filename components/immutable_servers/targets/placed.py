"""The base of our resources that belong to a place: a target, its settings, and a scope there.

The resource adds the place to its inputs. Its provider reads it back in each call of the engine,
and hands it on as a `Site`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from pulumi import Input, ResourceOptions, dynamic

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.resources.dynamic import Provider, Resource
from immutable_servers.resources.progress import start_saying
from immutable_servers.targets.place import Place, read_place


class Site:
    """A place in one call of the engine, with its target and its progress lines.

    Attributes:
        phase: The word that begins each progress line.
    """

    def __init__(self, place: Place, phase: str) -> None:
        self.place, self.phase = place, phase
        self.say = start_saying(phase, place.scope)

    @property
    def scope(self) -> Scope:
        """The place's scope."""
        return self.place.scope

    @cached_property
    def target(self) -> Target:
        """The target, made when it is first asked for: many calls need none."""
        return self.place.load()

    def of(self, service: str, generation: str) -> "Site":
        """Return the site of one generation of a service."""
        return Site(self.place.of(service, generation), self.phase)


class PlacedProvider(Provider):
    """Hands each call of the engine to a method that works with a `Site`.

    Attributes:
        phase: The word that begins each progress line.
        fixed_id: The id of the resource, where it is not the name of its scope.
    """

    phase: ClassVar[str] = ""
    fixed_id: ClassVar[str] = ""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Make the resource, unless an output is missing of what comes first."""
        self.require(props)
        site = self._visit(props)
        return dynamic.CreateResult(self.fixed_id or site.scope.name, self._create(site, props))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Change the resource in place."""
        return dynamic.UpdateResult(self._update(self._visit(news), olds, news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete the resource."""
        self._delete(self._visit(props), props)

    def find_drift(self, olds: Mapping[str, Any], news: Mapping[str, Any]) -> Sequence[str]:
        """Return what is no longer as the state records it."""
        return self._find_drift(self._visit(news), olds, news)

    def _create(self, _site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Make it, and return its inputs with its outputs."""
        return props

    def _update(self, site: Site, _olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        """Change it; without another way this is what `_create` does."""
        return self._create(site, news)

    def _delete(self, site: Site, props: dict[str, Any]) -> None:
        """Delete it; a resource that is only in the state has nothing to delete."""

    def _find_drift(
        self, _site: Site, _olds: Mapping[str, Any], _news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Return what `find_drift` does; most have nothing to compare."""
        return ()

    def _visit(self, props: Mapping[str, Any]) -> Site:
        return Site(read_place(props), self.phase)


class PlacedResource(Resource, module="immutable-servers", name="PlacedResource"):
    """A resource with its place among its inputs."""

    def __init__(
        self,
        provider: dynamic.ResourceProvider,
        name: str,
        place: Place,
        inputs: Mapping[str, Input[Any]],
        outputs: Sequence[str] = (),
        opts: ResourceOptions | None = None,
    ) -> None:
        """Register with `place` and `inputs`; each of `outputs` becomes an attribute."""
        super().__init__(provider, name, {**place.to_inputs(), **inputs}, outputs, opts)
