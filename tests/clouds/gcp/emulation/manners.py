"""How the emulated cloud behaves where the real one is slow, uneven or short of something.

A test writes `manners.json`, such as `{"operation": 5}`; what it leaves out is as below. What
happens by chance on the real cloud is drawn from `seed`, so each run of a test meets the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clouds.shared.cloud_manners import Manners as Shared


@dataclass(frozen=True)
class Manners(Shared):
    """What is drawn, and from how much; times are in seconds of this machine's clock.

    Attributes:
        operation: The longest that an operation takes until it is DONE; the shortest is half of it.
        linger: The longest that a thing still counts as used after its user has gone.
        stale: The longest that a read of IAM may still say what was before a write.
        late_lists: The same for lists of Compute Engine; Google says nothing of such a delay.
        throttled: Share of the calls that are refused for their number.
        page: How many things a page of a list holds at most; 0 gives what the call asks for.
        no_room: Zones that start nothing, with the operation's error code.
        certificates: State of a managed certificate that is new.
        images: State that an image comes to that is being made.
        boot: The longest that a group takes for a step of making a machine.
        check: How often health checks ask; a machine that passes is asked five times as seldom.
        blind: The longest that `getHealth` is empty once a backend service is referred to.
        fronts: How many front ends there are at each address and port.
        sampled: For how long Monitoring adds up before it has a number.
        load: Of services by name, in machines that are fully used.
        measured: How late an autoscaler knows of a load.
        stabilization: For how long it keeps what the highest load needs.
        visible: The longest that such a number takes to be seen, both by the cloud's clock.
    """

    seed: int = 15
    pace: float = 0.2
    server_idle: float = 4200.0
    operation: float = 0.3
    linger: float = 1.0
    stale: float = 0.2
    late_lists: float = 0.0
    throttled: float = 0.01
    page: int = 2
    no_room: Mapping[str, str] = field(
        default_factory=lambda: {"europe-west3-a": "ZONE_RESOURCE_POOL_EXHAUSTED"}
    )
    certificates: str = "ACTIVE"
    images: str = "READY"
    boot: float = 0.3
    check: float = 0.2
    blind: float = 0.3
    fronts: int = 6
    sampled: float = 1.0
    visible: float = 0.5
    load: Mapping[str, float] = field(default_factory=dict)
    measured: float = 0.5
    stabilization: float = 1.5
