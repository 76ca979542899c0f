"""How the emulated account behaves where DigitalOcean is slow, uneven or short of something.

A test writes `manners.json`, such as `{"follow": 20}`; what it leaves out is as below. What happens
by chance at DigitalOcean is drawn from `seed`, so each run of a test meets the same. Nobody has
measured these on an account: they are what code has to bear.
"""

from dataclasses import dataclass

from clouds.shared.cloud_manners import Manners as Shared


@dataclass(frozen=True)
class Manners(Shared):
    """What is drawn, and from how much; times are in seconds of this machine's clock.

    Attributes:
        action: The longest that an action takes; the shortest is half of it.
        boot: The same for a new droplet until it is active.
        ending: How long a destroyed droplet is still there.
        unseen: How long a new droplet is answered with 404.
        page: How many things a page of a list holds at most; 0 gives what the call asks for.
        minute: Calls that a token has in a minute; 0 counts none.
        busy: How long a balancer refuses changes after it was made or changed.
        follow: The latest that a balancer's pool follows a tag.
        nodes: Nodes of a balancer for each unit of its size; each checks and chooses by itself.
        late_nodes: The latest that a node knows of the pool's members.
        check: How often a node asks each member for its health, which our code is told so.
        guard: The latest that a firewall holds for a droplet that is new, or newly tagged.
    """

    seed: int = 16
    pace: float = 0.2
    server_idle: float = 4200.0
    action: float = 0.3
    boot: float = 0.3
    ending: float = 0.2
    unseen: float = 0.1
    page: int = 2
    minute: int = 0
    busy: float = 0.3
    follow: float = 0.5
    nodes: int = 2
    late_nodes: float = 0.2
    check: float = 0.1
    guard: float = 0.2
