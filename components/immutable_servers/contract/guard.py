"""What every deletion of a fleet asks first: does the balancer still send it traffic?

`Fleets.delete` asks it first, a target with locks again under its lock, and `Retirement` before it
drains.
"""

from collections.abc import Mapping

from immutable_servers.contract.values import Scope
from immutable_servers.errors import RetirementError


def refuse_if_serving(weights: Mapping[str, int], scope: Scope) -> None:
    """Raise when the balancer sends a generation traffic.

    Args:
        weights: What the balancer says now, as `Balancer.find_weights` returns it.
        scope: The generation's.

    Raises:
        RetirementError: It does.
    """
    weight = weights.get(scope.generation, 0)
    if weight:
        raise RetirementError(
            f"Generation {scope.service}-{scope.generation} still serves, so it is not deleted",
            facts=[f"The balancer sends it {weight} % of the traffic"],
            todo="Run `./immutable up` again: traffic is set first, then it can go.",
        )
