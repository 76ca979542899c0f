"""Shows what serves although the state knows nothing of it: the target is the truth."""

from collections.abc import Mapping

from immutable_servers.contract.values import Route
from immutable_servers.driver.commands.status.collect import collect
from immutable_servers.driver.commands.status.models import StackStatus
from immutable_servers.driver.opened import Opened
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.reader import OUTPUT
from immutable_servers.ledger.records import ServiceLedger
from immutable_servers.planning.wish import make_routes

LOST = (
    "the state knows nothing of these servers: it was lost (`git clean -ffdx`?), or the first run"
    " has not ended; the next `up` takes up what serves, and deletes the rest"
)


def collect_lost(stack: Opened, verdicts: Mapping[str, Mapping[str, str]]) -> StackStatus:
    """Return the status of a stack that its state does not hold: what the target has of it.

    Another checkout's stack of the same name is not shown as this one's.
    """
    empty = StackStatus(stack=stack.name, project=stack.scope.project, target=stack.known_target)
    try:
        routes = () if stack.remembered else _find_serving(stack)
        if not routes:
            return empty
        balancer, scope = stack.target.balancer, stack.scope
        found = collect(
            stack,
            {
                OUTPUT: {route.service: ServiceLedger().to_plain() for route in routes},
                "services": {
                    route.service: {"address": balancer.find_address(route, scope)}
                    for route in routes
                },
            },
            verdicts,
        )
    except ImmutableError as error:
        note = f"whether the target has servers of it is not known: {error.what}"
        return empty.model_copy(update={"notes": (note, *error.facts)})
    return found.model_copy(update={"notes": (LOST, *found.notes)})


def _find_serving(stack: Opened) -> list[Route]:
    """Return the routes of the services that the target has fleets or traffic of."""
    owner = stack.target.ownership.find_owner(stack.scope)
    if owner and owner.checkout != str(stack.root):
        return []
    fleets, balancer = stack.target.fleets, stack.target.balancer
    return [
        route
        for route in make_routes(stack.settings)
        for scope in [stack.place.of(route.service).scope]
        if fleets.find(scope) or balancer.find_weights(scope)
    ]
