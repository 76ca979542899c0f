"""Plans a whole stack from checkout, settings, ledger and target: what program and preview share.

Nothing here touches anything, and nothing imports Pulumi.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from immutable_servers.context import Place
from immutable_servers.errors import SettingsError
from immutable_servers.git import Commit, read_commit
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.images.usable import find_gone, find_usable
from immutable_servers.ledger import complete
from immutable_servers.plan import Plan, decide
from immutable_servers.records import Record, ServiceLedger, State
from immutable_servers.requests import Request
from immutable_servers.settings import ServiceSettings, Settings
from immutable_servers.standbys import Policy, find_lost
from immutable_servers.targets.contract import Target
from immutable_servers.targets.values import Artifact, Fleet, Launch, Route
from immutable_servers.unnamed import refuse_unnamed
from immutable_servers.verification.digest import digest_checks
from immutable_servers.wish import Wish

NO_REQUEST = Request()


@dataclass(frozen=True)
class Seen:
    """What is said to exist and to serve, by service; `baked` by image, None where it is not asked.

    Attributes:
        fleets: Generation id to fleet.
        traffic: Generation id to weight.
        baked: What the catalog holds of the versions.
    """

    fleets: Mapping[str, Mapping[str, Fleet]]
    traffic: Mapping[str, Mapping[str, int]]
    baked: Mapping[str, Artifact | None] | None


@dataclass(frozen=True)
class StackPlan:
    """All that is decided of a stack before anything is declared.

    Attributes:
        versions: Version and inputs of each image, computed from the checkout.
        known: Each service's ledger as the last run left it.
        ledgers: The same, completed by what the target says.
        plans: What a run declares for each service that it declares.
        checks: Digest of the checks that each desired generation must have passed.
        servers: How many servers each desired generation shall have.
    """

    settings: Settings
    commit: Commit
    versions: dict[str, ImageVersion]
    seen: Seen
    known: dict[str, ServiceLedger]
    ledgers: dict[str, ServiceLedger]
    plans: dict[str, Plan]
    checks: dict[str, str]
    servers: dict[str, int]

    @property
    def declared(self) -> frozenset[str]:
        """The names of the generations that a run declares, such as `web-3f2a9c41`."""
        return frozenset(
            f"{name}-{record.generation}"
            for name, plan in self.plans.items()
            for record in (plan.desired, *plan.others)
        )

    def is_wanted(self, name: str) -> bool:
        """Tell whether a run needs the image's artifact."""
        users = [n for n, service in self.settings.services.items() if service.image == name]
        children = [n for n, image in self.settings.images.items() if image.parent == name]
        if not users and not children:
            return True
        baked = self.seen.baked or {}
        return any(self.plans[user].bakes for user in users if user in self.plans) or any(
            baked.get(child) is None and self.is_wanted(child) for child in children
        )

    def find_fate(self, name: str) -> str:
        """Return `found`, `to be baked`, `not needed`; `not asked` without a catalog."""
        if self.seen.baked is None:
            return "not asked"
        if self.seen.baked[name]:
            return "found"
        return "to be baked" if self.is_wanted(name) else "not needed"


def plan_stack(
    root: Path,
    settings: Settings,
    place: Place,
    target: Target,
    exported: Mapping[str, ServiceLedger],
    *,
    request: Request = NO_REQUEST,
    offline: bool = False,
) -> StackPlan:
    """Return the plan of a stack whose last run exported these ledgers.

    Args:
        root: The project's folder.
        settings: The stack's, parsed.
        place: Target and scope of the stack.
        target: The target of that place; asked only when not `offline`.
        exported: By service, as `ledger.parse_ledgers` read them; without the request's pins.
        request: What this run was asked for beside the source.
        offline: Believe the ledger, and ask neither catalog nor fleets nor balancer.

    Raises:
        ImmutableError: A lock, a folder, the ledger or the target cannot be read, or a service that
            serves is not in the settings.
    """
    if not offline and not request.retire:
        unnamed = exported.keys() - settings.services.keys() - {*request.given_up}
        refuse_unnamed(sorted(unnamed), place, target)
    commit = read_commit(root)
    versions = compute_versions(root, settings, target.architecture)
    asked = request.apply_to(exported)
    known = {name: asked.get(name, ServiceLedger()) for name in settings.services}
    seen = believe(known) if offline else ask_target(settings, versions, place, target)
    unbaked = [versions[image].version for image, found in (seen.baked or {}).items() if not found]
    ledgers: dict[str, ServiceLedger] = {}
    plans: dict[str, Plan] = {}
    checks: dict[str, str] = {}
    servers: dict[str, int] = {}
    for name, service in settings.services.items():
        ledgers[name] = complete(known[name], seen.fleets[name], seen.traffic[name])
        digest = digest_checks([root / folder for folder in service.checks])
        gone = () if offline else find_gone(ledgers[name], seen.fleets[name], target.catalog)
        wish = replace(
            _make_wish(name, settings, target, versions, digest, commit, request),
            gone=frozenset({*gone, *unbaked}),
            pointed=frozenset(seen.traffic[name]),
        )
        plan = decide(wish, ledgers[name], seen.fleets[name])
        if request.retire and plan.desired.state is not State.LIVE:
            continue  # it never served, and this run launches nothing
        if plan.fresh and plan.desired.artifact and not offline:
            artifact = find_usable(plan.desired, target.catalog)
            plan = replace(plan, desired=replace(plan.desired, artifact=artifact))
        notes = [*plan.notes, *find_lost(known[name], seen.fleets[name])]
        if plan.proves and wish.version in wish.gone:
            notes.append(f"artifact {wish.version} is gone: baked again, for the changed checks")
        plans[name] = replace(plan, notes=tuple(notes))
        runs_checks = plan.follows or plan.fresh
        checks[name] = digest if runs_checks else plan.desired.checks
        servers[name] = plan.desired.servers if wish.stays and not plan.fresh else service.servers
    return StackPlan(settings, commit, versions, seen, known, ledgers, plans, checks, servers)


def ask_target(
    settings: Settings, versions: Mapping[str, ImageVersion], place: Place, target: Target
) -> Seen:
    """Ask the target what exists and what serves."""
    scopes = {name: place.of(name).scope for name in settings.services}
    return Seen(
        fleets={name: target.find_fleets(scope) for name, scope in scopes.items()},
        traffic={name: target.find_traffic(scope) for name, scope in scopes.items()},
        baked={
            name: target.catalog.find(name, version.version) for name, version in versions.items()
        },
    )


def believe(known: Mapping[str, ServiceLedger]) -> Seen:
    """Take the ledgers' word for what exists and what serves."""
    fleets: dict[str, dict[str, Fleet]] = {}
    traffic: dict[str, dict[str, int]] = {}
    for name, ledger in known.items():
        there = [r for r in ledger.generations.values() if r.state is not State.RETIRED]
        fleets[name] = {record.generation: _believe_in(record) for record in there}
        traffic[name] = {r.generation: 100 for r in there if r.state is State.LIVE}
    return Seen(fleets, traffic, None)


def _believe_in(record: Record) -> Fleet:
    return Fleet(
        generation=record.generation,
        record=record.to_plain(),
        servers=record.servers,
        whole=True,
        running=record.servers,
    )


def make_launch(settings: ServiceSettings) -> Launch:
    """Return the launch spec that the settings ask for."""
    return Launch(
        size=settings.size,
        port=settings.port,
        health=settings.health,
        env=dict(settings.env),
        overrides=dict(settings.launch_overrides),
    )


def make_routes(settings: Settings) -> list[Route]:
    """Return what the balancer listens for, one route a service."""
    return [
        Route(name, service.route.port or 0, service.route.host or "")
        for name, service in settings.services.items()
    ]


def _make_wish(
    name: str,
    settings: Settings,
    target: Target,
    versions: Mapping[str, ImageVersion],
    checks: str,
    commit: Commit,
    request: Request,
) -> Wish:
    service = settings.services[name]
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
        standbys=make_policy(service, target),
        commit=commit.id,
        now=time.time(),
        data_version=service.data_version,
        max_age=service.max_age,
        again=request.again.get(name, ""),
        stays=request.is_to_stay(name),
        retiring=tuple(request.retire.get(name, ())) if request.retire else None,
    )


def make_policy(service: ServiceSettings, target: Target) -> Policy:
    """Return how standbys are kept: as the settings say, else as the target has it."""
    keep_for = target.keep_for if service.keep_for is None else service.keep_for
    return Policy(service.keep, keep_for)


def _find_chain(settings: Settings, image: str | None) -> list[str]:
    chain: list[str] = []
    while image:
        if image in chain:
            raise SettingsError(f"The parents of image {image} form a circle")
        chain.append(image)
        image = settings.images[image].parent
    return chain
