"""Which launch of a generation's servers a verdict speaks of.

A run that leaves resources out (`--target`, `--exclude`) believes a state whose servers somebody
may have deleted. Who acts on a verdict asks the target first whether its servers are still those.
"""

from immutable_servers.context import Place
from immutable_servers.errors import make_left_out
from immutable_servers.generations.access import was_launched_again


def find_launch(place: Place) -> int:
    """Return when the servers of a generation were launched, in seconds since the epoch.

    As the target has it; 0 for no fleet, and where nobody knows.
    """
    fleet = place.load().find_fleets(place.scope).get(place.scope.generation)
    return int(fleet.record.get("launched_at") or 0) if fleet else 0


def refuse_launched_again(place: Place, verified_launch: int | None) -> None:
    """Refuse to act on a verdict of other servers than those that there are.

    Args:
        place: The generation's.
        verified_launch: What `find_launch` returned when they were verified; None or 0 in a state
            that does not say.

    Raises:
        ImmutableError: They were launched again since.
    """
    if was_launched_again(verified_launch, find_launch(place)):
        raise make_left_out(
            f"The servers of {place.scope.name} were launched again since they passed."
        )
