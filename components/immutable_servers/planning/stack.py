"""Plans a whole stack from checkout, settings, ledger and target: what program and preview share.

Nothing here touches anything, and nothing imports Pulumi.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from immutable_servers.contract.target import Target
from immutable_servers.errors import SettingsError
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.identity.checks import digest_checks
from immutable_servers.ledger.reader import complete
from immutable_servers.ledger.records import ServiceLedger, State
from immutable_servers.planning.requests import Request
from immutable_servers.planning.seen import Seen, ask_target, believe
from immutable_servers.planning.service import Plan, decide
from immutable_servers.planning.standbys import find_lost
from immutable_servers.planning.usable import find_gone, find_usable
from immutable_servers.planning.wish import make_wish
from immutable_servers.settings import Settings
from immutable_servers.system.git import Commit, read_commit
from immutable_servers.targets.place import Place

NO_REQUEST = Request()


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
        gone = () if offline else find_gone(ledgers[name], seen.fleets[name], target.images)
        wish = replace(
            make_wish(name, settings, target, versions, digest, commit, request),
            gone=frozenset({*gone, *unbaked}),
            pointed=frozenset(seen.traffic[name]),
        )
        plan = decide(wish, ledgers[name], seen.fleets[name])
        if request.retire and plan.desired.state is not State.LIVE:
            continue  # it never served, and this run launches nothing
        if plan.fresh and plan.desired.artifact and not offline:
            artifact = find_usable(plan.desired, target.images)
            plan = replace(plan, desired=replace(plan.desired, artifact=artifact))
        notes = [*plan.notes, *find_lost(known[name], seen.fleets[name])]
        if plan.proves and wish.version in wish.gone:
            notes.append(f"artifact {wish.version} is gone: baked again, for the changed checks")
        plans[name] = replace(plan, notes=tuple(notes))
        runs_checks = plan.follows or plan.fresh
        checks[name] = digest if runs_checks else plan.desired.checks
        servers[name] = plan.desired.servers if wish.stays and not plan.fresh else service.servers
    return StackPlan(settings, commit, versions, seen, known, ledgers, plans, checks, servers)


def refuse_unnamed(services: Collection[str], place: Place, target: Target) -> None:
    """Raise when the balancer sends traffic to any of `services`, which the settings do not name.

    Raises:
        SettingsError: It does.
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
