"""Names of emulated balancers: what the real ones' DNS says, without a name server.

A name holds its network and the balancer's number there, so all processes resolve it alike. As the
real one's, it has an address for each node, in an order of chance.
https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html
"""

import random
import re
import socket
from typing import Any

NODES = 3
"""One for each zone."""
FIRST_NET = 200
"""Third number of the first nodes' addresses: no subnet holds it."""
NAME = re.compile(r".+-b(\d+)-n(\d+)\.elb\.emulated$")


def make_name(balancer: str, number: int, network: str) -> str:
    """Return the DNS name of a network's balancer."""
    return f"{balancer}-b{number}-n{network.rpartition('.')[2]}.elb.emulated"


def list_addresses(name: str) -> list[str]:
    """Return the addresses of a balancer's nodes; none for another name."""
    found = NAME.fullmatch(name)
    if not found:
        return []
    number, network = found.groups()
    return [f"127.{network}.{FIRST_NET + node}.{number}" for node in range(NODES)]


def resolve_names() -> None:
    """Have this process know the names."""
    if hasattr(socket.getaddrinfo, "knows_balancers"):
        return
    plain = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **named: Any) -> list[Any]:  # noqa: ANN401 - the module's
        name = host.decode() if isinstance(host, bytes) else host
        addresses = list_addresses(name) if isinstance(name, str) else []
        if not addresses:
            return plain(host, *args, **named)
        random.shuffle(addresses)
        return [one for address in addresses for one in plain(address, *args, **named)]

    look_up.knows_balancers = True  # type: ignore[attr-defined]
    socket.getaddrinfo = look_up
