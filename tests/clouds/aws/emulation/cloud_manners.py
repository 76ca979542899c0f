"""How the emulated AWS behaves where the real one is slow, uneven or short of something."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clouds.shared.cloud_manners import Manners


@dataclass(frozen=True)
class AwsManners(Manners):
    """Manners of AWS alone.

    Attributes:
        stale: The longest that a read may still say what was before a write.
        throttled: Share of the calls that are refused for their number.
        page: How many things a page of a list holds at most; 0 gives lists as moto has them.
        no_room: Zones that launch nothing, with the code that EC2 gives for it.
        late: The latest that a number of CloudWatch's comes.
        bake: How much later it is after an AMI was made of an instance, by the emulated clock.
    """

    stale: float = 0.3
    throttled: float = 0.01
    page: int = 2
    no_room: Mapping[str, str] = field(
        default_factory=lambda: {"eu-central-1a": "InsufficientInstanceCapacity"}
    )
    late: float = 0.5
    bake: float = 0.0
