"""What a guest reaches of the machine that runs it: listed there, and tried in the guest.

A program too, on the standard library alone where it runs in a guest:

    reach.py list         prints addresses and ports of this machine, as JSON
    reach.py try JSON     prints what could be connected to, and whether the resolver answers
"""

import json
import select
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

USER_NETWORK = ["10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4", "fec0::2", "fec0::3"]
"""Addresses of QEMU's user network, behind which this machine may be."""
METADATA = "169.254.169.254"
RESOLVER = "10.0.2.3"
ANSWER_SECONDS = 5.0
QUESTION = bytes.fromhex("4471 0100 0001 0000 0000 0000 00 0002 0001")
"""Who is responsible for the root: a name that every resolver knows."""


def list_ends() -> dict[str, Any]:
    """Return the ports that listen on this machine now, and the addresses that a guest may try."""
    import psutil  # noqa: PLC0415 - a guest has none

    connections = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN"]
    listening = {one.laddr.port for one in connections if one.laddr}
    found = [one for several in psutil.net_if_addrs().values() for one in several]
    families = {socket.AF_INET, socket.AF_INET6}
    own = {one.address.partition("%")[0] for one in found if one.family in families}
    own = {address for address in own if not address.startswith(("127.", "::1", "fe80:"))}
    return {"ports": sorted(listening), "addresses": [*USER_NETWORK, *sorted(own), METADATA]}


def try_ends(ends: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return what could be connected to of all pairs, and whether the resolver answers.

    A server of our own is among the pairs, so that what cannot connect at all is seen too.
    """
    with ExitStack() as stack:
        own = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        pairs = [(address, port) for address in ends["addresses"] for port in ends["ports"]]
        pairs = [own.getsockname(), *(pair for pair in pairs if pair != (RESOLVER, 53))]
        reached = [
            end for at in range(0, len(pairs), 500) for end in _connect_to(pairs[at : at + 500])
        ]
        assert reached[:1] == [own.getsockname()], "a guest cannot even connect to itself"
    return {"reached": [f"{address} {port}" for address, port in reached[1:]], **_ask()}


def _connect_to(pairs: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield those that take a connection, all tried at once."""
    with ExitStack() as stack:
        poll, asked = select.poll(), {}
        for end in pairs:
            family = socket.AF_INET6 if ":" in end[0] else socket.AF_INET
            one = stack.enter_context(socket.socket(family))
            one.setblocking(False)  # noqa: FBT003 - socket's own
            with suppress(OSError):
                if one.connect_ex(end) in {0, 115}:  # EINPROGRESS
                    asked[one.fileno()] = one, end
                    poll.register(one, select.POLLOUT)
        while asked and (events := poll.poll(ANSWER_SECONDS * 1000)):
            for number, _ in events:
                one, end = asked.pop(number)
                poll.unregister(number)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    yield end


def _ask() -> dict[str, bool]:
    """Ask the resolver of the user network for a name."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.settimeout(ANSWER_SECONDS)
        for _ in range(3):
            with suppress(OSError):
                one.sendto(QUESTION, (RESOLVER, 53))
                return {"resolves": one.recv(512)[:2] == QUESTION[:2]}
    return {"resolves": False}


if __name__ == "__main__":
    said = list_ends() if sys.argv[1] == "list" else try_ends(json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(said) + "\n")
