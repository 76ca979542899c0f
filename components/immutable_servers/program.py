"""Turns a stack file into the graph: what `__main__.py` calls, in its order."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi import ResourceOptions

from immutable_servers.context import Place
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.generations.leftovers import Leftovers
from immutable_servers.git import Commit, read_commit
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.images.component import MachineImage, MachineImageArgs
from immutable_servers.ledger import complete, parse_ledgers, read_last_output
from immutable_servers.plan import Plan, Wish, decide
from immutable_servers.records import ServiceLedger
from immutable_servers.service import Service, ServiceArgs, make_launch
from immutable_servers.settings import ServiceSettings, Settings, load_settings
from immutable_servers.targets.contract import Artifact, Route, Scope, Target
from immutable_servers.traffic.verdict import Verdict
from immutable_servers.verification.digest import digest_checks


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show a user's mistake as its three parts, without a traceback."""
    try:
        yield
    except ImmutableError as error:
        raise pulumi.RunError(str(error)) from error


def read_settings(project_root: Path) -> Settings:
    """Read the stack's settings from Pulumi's configuration, all mistakes at once."""
    name = pulumi.get_project()
    values: dict[str, Any] = {}
    for key, text in pulumi.runtime.get_config_env().items():
        namespace, _, rest = key.partition(":")
        if namespace == name:
            values[rest] = _parse_value(text)
    return load_settings(values, project_root)


def _parse_value(text: str) -> Any:  # noqa: ANN401 - whatever the stack file holds
    """Read a value as the engine hands it over: JSON for structures, else plain text."""
    if text[:1] in "[{":
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


@dataclass
class ImmutableStack:
    """One stack while its program runs.

    Attributes:
        versions: Version and inputs of each image, computed from the checkout.
        baked: What the catalog holds of these versions, by image.
        known: Each service's ledger as the last run left it.
        ledgers: The same, completed by what the target says.
        plans: What this run declares for each service.
    """

    root: Path
    settings: Settings
    place: Place
    target: Target
    versions: dict[str, ImageVersion]
    baked: dict[str, Artifact | None]
    known: dict[str, ServiceLedger]
    ledgers: dict[str, ServiceLedger]
    plans: dict[str, Plan]
    checks: dict[str, str]
    commit: Commit
    balancer: pulumi.CustomResource
    images: dict[str, MachineImage] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)

    @classmethod
    def load(cls) -> "ImmutableStack":
        """Read settings, ledger and target, and decide, before anything is registered.

        Raises:
            ImmutableError: Settings, lock, ledger or target cannot be read.
        """
        root = Path.cwd()
        settings = read_settings(root)
        scope = Scope(pulumi.get_project(), pulumi.get_stack())
        place = Place(settings.target, settings.target_settings, scope)
        target = place.load()
        commit = read_commit(root)
        versions = compute_versions(root, settings, target.architecture)
        exported = parse_ledgers(read_last_output())
        known = {name: exported.get(name, ServiceLedger()) for name in settings.services}
        ledgers: dict[str, ServiceLedger] = {}
        plans: dict[str, Plan] = {}
        checks: dict[str, str] = {}
        for name, service in settings.services.items():
            at = place.of(name)
            fleets = target.find_fleets(at.scope)
            ledgers[name] = complete(known[name], fleets, target.find_traffic(at.scope))
            checks[name] = digest_checks([root / folder for folder in service.checks])
            wish = _make_wish(service, target, settings, versions, checks[name], commit)
            plans[name] = decide(wish, ledgers[name], fleets)
        return cls(
            root=root,
            settings=settings,
            place=place,
            target=target,
            versions=versions,
            baked={
                name: target.catalog.find(name, version.version)
                for name, version in versions.items()
            },
            known=known,
            ledgers=ledgers,
            plans=plans,
            checks=checks,
            commit=commit,
            balancer=target.declare_balancer(
                scope, make_routes(settings), ResourceOptions(protect=True)
            ),
        )

    def declare_image(self, name: str) -> MachineImage:
        """Declare an image; its parent must have been declared."""
        settings = self.settings.images[name]
        parent = self.images[settings.parent] if settings.parent else None
        image = MachineImage(
            name,
            MachineImageArgs(
                settings=settings,
                version=self.versions[name].version,
                place=self.place,
                parent=parent,
                wanted=self._is_wanted(name),
            ),
        )
        found = self.baked[name]
        fate = "found" if found else "to be baked" if self._is_wanted(name) else "not needed"
        pulumi.log.info(f"image {name} {self.versions[name].version}: {fate}", image)
        self.images[name] = image
        return image

    def declare_service(self, name: str) -> Service:
        """Declare a service; its image must have been declared."""
        settings = self.settings.services[name]
        service = Service(
            name,
            ServiceArgs(
                settings=settings,
                plan=self.plans[name],
                ledger=self.ledgers[name],
                artifact=self.images[settings.image].artifact,
                checks=self.checks[name],
                place=self.place.of(name),
                balancer=self.balancer,
                target=self.target,
            ),
        )
        for note in self.plans[name].notes:
            pulumi.log.warn(f"{name}: {note}", service)
        self.services[name] = service
        return service

    def declare_verdict(self) -> None:
        """Declare what ends the run: it fails for a failed candidate, else leftovers go."""
        verdict = Verdict({name: service.result for name, service in self.services.items()})
        Leftovers(
            self.place,
            {name: find_leftovers(plan, self.known[name]) for name, plan in self.plans.items()},
            verdict.id,
        )

    def summarize(self) -> dict[str, Any]:
        """Return for each service where it answers and what serves."""
        routes = {route.service: route for route in make_routes(self.settings)}
        return {
            name: {
                "address": self.target.find_address(routes[name], self.place.of(name).scope),
                "live": service.live,
                "servers": self.settings.services[name].servers,
                "images": self.plans[name].desired.images,
            }
            for name, service in self.services.items()
        }

    def render_ledger(self) -> dict[str, Any]:
        """Return the ledger for export; services that left the settings keep their records."""
        return {name: service.ledger for name, service in self.services.items()}

    def _is_wanted(self, name: str) -> bool:
        """Tell whether this run needs the image's artifact."""
        users = [n for n, service in self.settings.services.items() if service.image == name]
        children = [n for n, image in self.settings.images.items() if image.parent == name]
        if not users and not children:
            return True
        return any(self.plans[user].fresh for user in users) or any(
            self.baked[child] is None and self._is_wanted(child) for child in children
        )


def find_leftovers(plan: Plan, known: ServiceLedger) -> list[str]:
    """Return the generations that go and that no finished run has recorded."""
    return [
        record.generation for record in plan.going if record.generation not in known.generations
    ]


def make_routes(settings: Settings) -> list[Route]:
    """Return what the balancer listens for, one route a service."""
    return [
        Route(name, service.route.port or 0, service.route.host or "")
        for name, service in settings.services.items()
    ]


def _make_wish(
    service: ServiceSettings,
    target: Target,
    settings: Settings,
    versions: Mapping[str, ImageVersion],
    checks: str,
    commit: Commit,
) -> Wish:
    launch = make_launch(service)
    images = {name: versions[name].version for name in _find_chain(settings, service.image)}
    shape = json.dumps(target.describe_shape(launch), sort_keys=True)
    return Wish(
        image=service.image,
        version=versions[service.image].version,
        images=images,
        launch=launch.to_plain(),
        shape=hashlib.sha256(shape.encode()).hexdigest()[:12],
        servers=service.servers,
        checks=checks,
        keep=service.keep,
        commit=commit.id,
        now=time.time(),
    )


def _find_chain(settings: Settings, image: str | None) -> list[str]:
    chain: list[str] = []
    while image:
        if image in chain:
            raise SettingsError(f"The parents of image {image} form a circle")
        chain.append(image)
        image = settings.images[image].parent
    return chain
