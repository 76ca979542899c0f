"""What a run is asked for one service: by the checkout, by the settings, and beside them."""

from dataclasses import dataclass
from typing import Any

from immutable_servers.standbys import Policy


@dataclass(frozen=True)
class Wish:
    """What is asked of one service.

    Attributes:
        shape: Digest of what our code gives a server at launch.
        standbys: How many of them are kept, and for how long.
        now: Seconds since the epoch; login windows and ages are compared with it.
        data_version: Which version of the data that outlives the servers the source works with.
        max_age: Seconds after which the live generation is made again; None is never.
        again: Why the live generation is to be made again as the next round; empty when it is not.
        stays: What serves goes on serving, whatever the source says.
        gone: Versions that the catalog lacks, of the checkout's and those that lack servers.
        pointed: Generations that the balancer points to, known or not.
        retiring: These generations go, and nothing else is done; None in every other run.
    """

    image: str
    version: str
    images: dict[str, str]
    launch: dict[str, Any]
    shape: str
    servers: int
    checks: str
    standbys: Policy
    commit: str
    now: float
    data_version: str = ""
    max_age: float | None = None
    again: str = ""
    stays: bool = False
    gone: frozenset[str] = frozenset()
    pointed: frozenset[str] = frozenset()
    retiring: tuple[str, ...] | None = None
