"""Refuses a run at another place than that of the stack's servers, before anything is changed."""

from collections.abc import Mapping

from immutable_servers.contract.location import MACHINE, Location, make_moved
from immutable_servers.contract.target import Target
from immutable_servers.ledger.records import ServiceLedger
from immutable_servers.targets.place import Place


def refuse_moved(
    place: Place, target: Target, exported: Mapping[str, ServiceLedger], *, offline: bool = False
) -> Location:
    """Return where this run acts, and refuse another place than that of the stack's servers.

    Each place keeps its own servers and balancer, so that neither would ever let go of what serves.
    The names of project and stack are part of the place: a target's things carry them for good.
    A service without a place in its ledger takes this run's, and one without servers may move.

    Raises:
        SettingsError: A service has servers elsewhere.
        ImmutableError: The target cannot be asked.
    """
    here = target.find_location(ask=not offline).of_stack(place.scope)
    moved: dict[str, Location] = {}
    for name, ledger in exported.items():
        known = ledger.place.find_difference(here) if ledger.place else ()
        if not (ledger.place and known and ledger.has_servers):
            continue
        # A machine whose id changed still has its servers.
        if offline or set(known) != {MACHINE} or not _has_some(place.of(name), target, ledger):
            moved[name] = ledger.place
    if moved:
        there, *_ = moved.values()
        raise make_moved(place.scope.stack, there, here, ", ".join(sorted(moved)))
    return here


def _has_some(place: Place, target: Target, ledger: ServiceLedger) -> bool:
    """Return whether the target has a fleet that the ledger knows."""
    return not ledger.generations.keys().isdisjoint(target.fleets.find(place.scope))
