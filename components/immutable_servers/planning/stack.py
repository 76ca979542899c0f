"""Plans a whole stack from checkout, settings, ledgers and target, for program and preview.

Nothing here changes anything, and nothing imports Pulumi.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from immutable_servers.contract.images import Images
from immutable_servers.contract.location import Location
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact, Launch
from immutable_servers.errors import SettingsError
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.identity.checks import digest_checks
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.planning.known import KnownService, ask_service, trust_ledger
from immutable_servers.planning.moved import refuse_moved
from immutable_servers.planning.requests import Request
from immutable_servers.planning.service import Plan, decide
from immutable_servers.planning.usable import find_gone, find_usable, refuse_others, refuse_revoked
from immutable_servers.planning.wish import find_chain, make_routes, make_wish
from immutable_servers.settings import Settings
from immutable_servers.system.git import read_commit
from immutable_servers.targets.place import Place

NO_REQUEST = Request()


@dataclass(frozen=True)
class StackPlan:
    """All that is decided for a stack before anything is declared.

    Attributes:
        versions: Version and inputs of each image, computed from the checkout.
        baked: What the catalog holds of each version; None when it was not asked.
        recorded: The ledgers of the last run with this run's pins, also those of services that
            have left the settings.
        known: What is known of each service of the settings.
        plans: What a run declares for each service that it declares.
    """

    settings: Settings
    commit: str
    versions: dict[str, ImageVersion]
    baked: Mapping[str, Artifact | None] | None
    recorded: dict[str, ServiceLedger]
    known: dict[str, KnownService]
    plans: dict[str, Plan]

    @property
    def declared(self) -> frozenset[str]:
        """The names of the generations that a run declares, such as `web-3f2a9c41`."""
        return frozenset(
            f"{name}-{record.generation}"
            for name, plan in self.plans.items()
            for record in (plan.desired, *plan.others)
        )

    def is_wanted(self, name: str) -> bool:
        """Return whether a run needs the image's artifact."""
        children = [n for n, image in self.settings.images.items() if image.parent == name]
        if not children and name not in {one.image for one in self.settings.services.values()}:
            return True
        baked = self.baked or {}
        return self.is_launched(name) or any(
            baked.get(child) is None and self.is_wanted(child) for child in children
        )

    def is_launched(self, name: str) -> bool:
        """Return whether a run launches servers from the image's artifact."""
        services = self.settings.services
        return any(plan.bakes for n, plan in self.plans.items() if services[n].image == name)

    def find_fate(self, name: str) -> str:
        """Return `found`, `to be baked`, `not needed`; `not asked` without a catalog."""
        if self.baked is None:
            return "not asked"
        if self.baked[name]:
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
        exported: By service, as `ledger.reader.parse_ledgers` read them.
        request: What a command asks of this run beside the source; its pins replace the exported.
        offline: Trust the ledgers, and ask neither catalog nor fleets nor balancer.

    Raises:
        ImmutableError: A lock, a folder, a ledger or the target cannot be read, a service that
            serves is not in the settings, or the servers are at another place.
    """
    here = refuse_moved(place, target, exported, offline=offline)
    if not offline and not request.retire:
        unnamed = exported.keys() - settings.services.keys() - {*request.given_up}
        refuse_unnamed(sorted(unnamed), place, target)
        target.balancer.refuse_routes(place.scope, make_routes(settings))
    commit = read_commit(root)
    versions = compute_versions(root, settings, target.architecture)
    recorded = request.apply_to(exported)
    known = _find_known(settings, place, recorded, here, None if offline else target)
    catalog = None if offline else target.images
    baked = find_baked(versions, catalog) if catalog else None
    # Without a bake no server can be launched of a version that the catalog lacks.
    unbaked = {versions[image].version for image, found in (baked or {}).items() if not found}
    found = [artifact for artifact in (baked or {}).values() if artifact]
    plans: dict[str, Plan] = {}
    for name, service in settings.services.items():
        checks = digest_checks([root / folder for folder in service.checks])
        gone = unbaked.union(find_gone(known[name], catalog) if catalog else ())
        wish = make_wish(name, settings, target, versions, checks, gone, commit, request)
        plan = decide(wish, known[name])
        # `retire` launches nothing, so a service that serves nothing is not declared at all.
        if request.retire and plan.desired.state is not State.LIVE:
            continue
        if catalog:
            if plan.launches:
                launch = Launch.from_plain(plan.desired.launch)
                target.refuse_launch(place.of(name).scope, launch)
            refuse_others(plan, known[name], catalog)
            plan = refuse_revoked(plan, known[name], catalog, found)
        plans[name] = _choose_artifact(plan, catalog)
    planned = StackPlan(settings, commit, versions, baked, recorded, known, plans)
    if catalog:
        refuse_unfit(planned, catalog)
    return planned


def find_baked(versions: Mapping[str, ImageVersion], catalog: Images) -> dict[str, Artifact | None]:
    """Return what the catalog holds of each of the checkout's versions.

    Raises:
        ImageError: An artifact has another digest.
    """
    return {name: catalog.find(name, one.version, one.digest) for name, one in versions.items()}


def refuse_unfit(planned: StackPlan, catalog: Images) -> None:
    """Refuse to launch or bake from images that cannot be used, so that the preview fails.

    An image that was baked already and that no service runs is none of a rollback's business.

    Raises:
        ImageError: One, or a parent, is revoked; or its name is taken by an artifact that does not
            say what it is.
        ImmutableError: The target's settings do not fit an artifact, or this machine a bake.
    """
    for name in filter(planned.is_wanted, planned.versions):
        there = (planned.baked or {}).get(name)
        if there and not planned.is_launched(name):
            continue
        chain = find_chain(planned.settings, name)
        versions = {image: planned.versions[image].version for image in chain}
        what = f"Nothing is launched from image {name} {versions[name]}"
        catalog.refuse_revoked(what, versions)
        for image in [name] if there else chain:
            catalog.refuse_unfit((planned.baked or {}).get(image))
        if there is None:
            catalog.refuse_unproven(name, versions[name])


def _find_known(
    settings: Settings,
    place: Place,
    recorded: Mapping[str, ServiceLedger],
    here: Location,
    target: Target | None,
) -> dict[str, KnownService]:
    """Return what is known of each service, by the ledger alone without a target."""
    known: dict[str, KnownService] = {}
    for name in settings.services:
        ledger = replace(recorded.get(name, ServiceLedger()), place=here)
        scope = place.of(name).scope
        known[name] = ask_service(scope, target, ledger) if target else trust_ledger(name, ledger)
    return known


def _choose_artifact(plan: Plan, catalog: Images | None) -> Plan:
    """Return the plan with what the catalog holds now in place of an earlier round's artifact.

    A fresh generation without an artifact is launched from the checkout's image instead. The
    catalog is asked before anything is declared, so that a revoked image fails the preview.

    Raises:
        ImageError: The artifact is revoked or gone.
    """
    if catalog is None or not plan.fresh or not plan.desired.artifact:
        return plan
    artifact = find_usable(plan.desired, catalog)
    return replace(plan, desired=replace(plan.desired, artifact=artifact))


def refuse_unnamed(services: Collection[str], place: Place, target: Target) -> None:
    """Refuse to lose a service: the settings do not name it any more, and it still serves.

    Raises:
        SettingsError: The balancer sends traffic to one of `services`.
    """
    serving = [
        name
        for name in services
        if any(target.balancer.find_weights(place.of(name).scope).values())
    ]
    if serving:
        stack = place.scope.stack
        raise SettingsError(
            f"The settings do not name {', '.join(serving)} any more, and it serves",
            facts=["Nothing was changed: a service that serves is not deleted by a missing name."],
            todo="Put the name back; or give the service up:"
            f" ./immutable destroy {stack} --service {serving[0]}",
        )
