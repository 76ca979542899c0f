"""Turns a stack file into the graph: what `__main__.py` calls, in its order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from pulumi import ResourceOptions

from immutable_servers.contract.front import Front
from immutable_servers.contract.graph import Graph
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError
from immutable_servers.generations.leftovers import Leftovers
from immutable_servers.identity import ImageVersion
from immutable_servers.identity.commits import find_unfetched
from immutable_servers.images.component import MachineImage, MachineImageArgs
from immutable_servers.images.staging import remove_left_stagings
from immutable_servers.ledger.reader import parse_ledgers, read_last_output
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.planning.lasting import refuse_short_credentials
from immutable_servers.planning.requests import read_request
from immutable_servers.planning.service import Plan
from immutable_servers.planning.stack import StackPlan, plan_stack
from immutable_servers.planning.wish import make_fronts, make_routes
from immutable_servers.resources.declared import note_declared
from immutable_servers.resources.outputs import wait_for_exports
from immutable_servers.service import Service, ServiceArgs
from immutable_servers.settings import Settings, load_settings
from immutable_servers.settings.stack_files import choose_values
from immutable_servers.state.claims import claim, make_owner
from immutable_servers.system.places import make_private_places
from immutable_servers.system.unfit_places import refuse_unfit_places
from immutable_servers.targets.place import Place
from immutable_servers.text.printable import make_safe
from immutable_servers.traffic.verdict import Verdict


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show a user's mistake as its three parts, without a traceback."""
    try:
        yield
    except ImmutableError as error:
        raise pulumi.RunError(str(error)) from error


def read_settings(project_root: Path) -> Settings:
    """Read the stack's settings, from its file and as the engine hands them over."""
    prefix = f"{pulumi.get_project()}:"
    every = pulumi.runtime.get_config_env()
    ours = {key: text for key, text in every.items() if key.startswith(prefix)}
    handed = {key.removeprefix(prefix): text for key, text in ours.items()}
    secrets = {key.removeprefix(prefix) for key in ours if pulumi.runtime.is_config_secret(key)}
    values = choose_values(project_root, pulumi.get_stack(), handed, secrets)
    return load_settings(values, project_root)


@dataclass
class ImmutableStack:
    """One stack while its program runs.

    Attributes:
        planned: All that was decided before anything is registered.
        fronts: How each service's own address is asked.
    """

    root: Path
    settings: Settings
    place: Place
    graph: Graph
    planned: StackPlan
    fronts: dict[str, Front]
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
        refuse_unfit_places(root)
        make_private_places(root)
        settings = read_settings(root)
        scope = Scope(pulumi.get_project(), pulumi.get_stack())
        place = Place(settings.target, settings.target_settings, scope)
        target = place.load()
        target.ask_once()
        ours = make_owner(root, pulumi.get_organization(), scope)
        claim(target, ours, lambda text: pulumi.log.warn(make_safe(text)))
        exported = parse_ledgers(read_last_output())
        planned = plan_stack(root, settings, place, target, exported, request=read_request())
        for note in find_unfetched(root, [one.inputs for one in planned.versions.values()]):
            pulumi.log.warn(make_safe(note))
        fronts = make_fronts(settings, target)
        if not pulumi.runtime.is_dry_run():  # a preview has credentials of its own
            refuse_short_credentials(settings, planned.plans, fronts, target.find_credentials_end())
            services = {name: fronts[name].to_plain() for name in planned.plans}
            remove_left_stagings(root)
            target.ownership.begin_update(ours, planned.declared)
            note_declared(scope.stack, settings.target, services, planned.declared)
        graph = target.start_graph(scope, ours)
        sizes = {service.size for service in settings.services.values()}
        routes, opts = make_routes(settings), ResourceOptions(protect=True)
        return cls(
            root=root,
            settings=settings,
            place=place,
            graph=graph,
            planned=planned,
            fronts=fronts,
            balancer=graph.declare_balancer(routes, sizes, opts),
        )

    @property
    def versions(self) -> dict[str, ImageVersion]:
        """The version of each image, parents before their children."""
        return self.planned.versions

    def declare_image(self, name: str) -> MachineImage:
        """Declare an image; its parent must have been declared."""
        settings = self.settings.images[name]
        parent = self.images[settings.parent] if settings.parent else None
        image = MachineImage(
            name,
            MachineImageArgs(
                settings=settings,
                version=self.planned.versions[name].version,
                digest=self.planned.versions[name].digest,
                place=self.place,
                parent=parent,
                wanted=self.planned.is_wanted(name),
            ),
        )
        version = self.planned.versions[name].version
        pulumi.log.info(f"image {name} {version}: {self.planned.find_fate(name)}", image)
        self.images[name] = image
        return image

    def declare_service(self, name: str) -> None:
        """Declare a service, if the plan does; its image must have been declared."""
        plan = self.planned.plans.get(name)
        if plan is None:
            return
        settings = self.settings.services[name]
        service = Service(
            name,
            ServiceArgs(
                settings=settings,
                plan=plan,
                ledger=self.planned.known[name].ledger,
                artifact=self.images[settings.image].artifact,
                place=self.place.of(name),
                front=self.fronts[name],
                balancer=self.balancer,
                graph=self.graph,
            ),
        )
        for note in plan.notes:
            pulumi.log.warn(make_safe(f"{name}: {note}"), service)
        self.services[name] = service

    def declare_verdict(self) -> None:
        """Declare the end of the run: it fails for a failed candidate, or deletes leftovers."""
        plans = self.planned.plans
        unverified = [name for name, plan in plans.items() if plan.serves_unverified]
        results = {name: service.result for name, service in self.services.items()}
        advice = {name: service.advice for name, service in self.services.items()}
        # What it ends is recorded by then: the ledger keeps who logged in to a candidate.
        after = ResourceOptions(depends_on=wait_for_exports())
        verdict = Verdict(results, unverified, advice, after)
        Leftovers(
            self.place,
            {
                name: find_leftovers(plan, self.planned.known[name].recorded)
                for name, plan in plans.items()
            },
            {name: service.drain for name, service in self.settings.services.items()},
            verdict.id,
        )

    def summarize(self) -> dict[str, Any]:
        """Return for each service where it answers and what serves."""
        routes = {route.service: route for route in make_routes(self.settings)}
        return {
            name: {
                "address": self.graph.declare_address(routes[name], self.place.of(name).scope),
                "live": service.live,
                "servers": self.planned.plans[name].servers,
                "images": self.planned.plans[name].desired.images,
            }
            for name, service in self.services.items()
        }

    def render_ledger(self) -> dict[str, Any]:
        """Return the ledger for export; services that left the settings keep their records."""
        left = {name: ledger.to_plain() for name, ledger in self.planned.recorded.items()}
        return {**left, **{name: service.ledger for name, service in self.services.items()}}


def find_leftovers(plan: Plan, recorded: ServiceLedger) -> list[str]:
    """Return the generations that go and that the last ledger lacks, or has as retired."""
    records = recorded.generations
    declared = {key for key, record in records.items() if record.state is not State.RETIRED}
    return [record.generation for record in plan.going if record.generation not in declared]
