"""Gives all traffic back to who had it, when that one still is whole and answers."""

from immutable_servers.contract.values import ALL
from immutable_servers.errors import TrafficError
from immutable_servers.targets.place import Place
from immutable_servers.targets.questions import wait_until_healthy

BACK_DEADLINE = 10.0
"""How long a generation may take to answer before traffic would go back to it, in seconds."""


def go_back(place: Place, generation: str) -> str:
    """Give all traffic to an earlier generation; return why not, empty when it was given."""
    target, back = place.load(), place.at(generation)
    try:
        fleet = target.fleets.find(back.scope).get(generation) if generation else None
        if fleet is None or fleet.leaving or not fleet.whole:
            return f"no whole generation is left to go back to, so {place.scope.generation} serves"
        sick = wait_until_healthy(back, BACK_DEADLINE)
        if sick:
            ill = ", ".join(f"{health.server} {health.detail}" for health in sick)
            return f"generation {generation} does not answer ({ill}), so traffic stays"
        target.balancer.set_traffic(back.scope, {generation: ALL})
    except TrafficError as error:
        return f"going back to generation {generation} failed ({error.what})"
    return ""
