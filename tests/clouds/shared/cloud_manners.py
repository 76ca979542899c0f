"""How an emulated cloud behaves where the real one is slow, uneven or short of something.

A test writes `manners.json`, such as `{"follow": 60}`; what it leaves out is as below. What happens
by chance on the real cloud is drawn from `seed` here, so each run of a test meets the same.
"""

from dataclasses import dataclass

from clouds.shared.chance import draw


@dataclass(frozen=True)
class Manners:
    """What is drawn, and from how much; all times are in seconds of this machine's clock.

    Attributes:
        follow: The latest that a balancer's node does what its listener has been told.
        pace: How long a second of a connection's idle time, or of an answer's, takes.
        race: How long a balancer's node does not know that a server has closed a connection.
        server_idle: After how long a server closes an idle connection, before `pace`.
    """

    seed: int = 14
    follow: float = 0.5
    pace: float = 1.0
    race: float = 0.05
    server_idle: float = 75.0

    def draw(self, *about: object) -> float:
        """Return a number from 0 to 1, the same one for the same seed and words."""
        return draw(self.seed, *about)
