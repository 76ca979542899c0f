"""Stands between a guest and this machine: filters its network, and keeps its console short.

A program of its own on the standard library alone, as `system/supervisor.py` is; `walled_qemu.py`
starts one for each QEMU, and it ends with it:

```
guest's card ── [socket] ── may this frame leave? ── [socket] ── QEMU's user network ── this machine
guest's console ── [pipe] ── the end of it ── console.log
```
QEMU's user network connects a guest with whatever this machine can connect to, its own loopback
first (QEMU's manual, "Using the user mode network stack"). So a frame leaves for an address that
this machine itself reaches through a gateway, and for the network's own DNS and DHCP. Nothing of
this machine is such an address, nor is anything on the same wire with it: its local network, its
containers, the metadata service of a cloud. Nothing but IPv4 leaves.

    relay.py CONSOLE NEIGHBOURS [GUEST:NETWORK]...    stdin is the console, the rest are sockets
"""

import ipaddress
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

MOST_BYTES = 16 * 2**20
KEPT_BYTES = 4 * 2**20
"""A console that has grown beyond the first is cut to the second."""
CUT = b"(earlier lines were cut)\n"
ONCE = 2**18
"""Bytes that are read at once."""
LARGEST_FRAME = 4096 + 65536
"""NET_BUFSIZE of QEMU's include/net/net.h."""

ROUTER, RESOLVER = bytes([10, 0, 2, 2]), bytes([10, 0, 2, 3])
"""Addresses of QEMU's user network: behind them are this machine's loopback and its resolver."""
EVERYBODY = bytes([255] * 4)
NEVER = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # Linux connects 0.0.0.0 to the loopback
        "127.0.0.0/8",
        "169.254.0.0/16",  # the metadata service of most clouds, and with it a role's credentials
        "168.63.129.16/32",  # Azure's
        "100.100.100.200/32",  # Alibaba Cloud's
        "224.0.0.0/3",  # groups
    )
)
KNOWN_SECONDS = 5.0
KNOWN_ADDRESSES = 4096
HEADER = 14
"""Bytes of Ethernet's header."""
IPV4, ARP = b"\x08\x00", b"\x08\x06"
ICMP, TCP, UDP = 1, 6, 17
DHCP, DNS = 67, 53
SYN, ACK = 0x02, 0x10
DEFAULT_BITS = 1
"""Bits of a default route's prefix at most; tunnels make one of two halves."""
# linux/rtnetlink.h
RTM_NEWROUTE, RTM_GETROUTE, RTM_F_FIB_MATCH, RTN_UNICAST = 24, 26, 0x2000, 1
RTA_DST, GATEWAYS = 1, {5, 9, 18}
"""GATEWAYS: RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA."""

FindRoute = Callable[[bytes], tuple[int, int, bool]]


class Filter:
    """Decides which frames of a guest leave.

    Attributes:
        neighbours: Networks on this machine's own wires that the guest may reach nevertheless.
        find_route: Returns the route to an address, as `find_kernel_route` does.
    """

    def __init__(self, neighbours: Sequence[str] = (), find_route: FindRoute | None = None) -> None:
        self.find_route = find_route or find_kernel_route
        self.neighbours = [ipaddress.IPv4Network(network) for network in neighbours]
        self.known: dict[bytes, tuple[bool, float]] = {}

    def may_leave(self, frame: bytes) -> bool:
        """Return whether an Ethernet frame of the guest may leave."""
        if frame[12:14] == ARP:
            return True
        if frame[12:14] != IPV4 or len(frame) < HEADER + 20:
            return False
        address = frame[30:34]
        if address[:3] == ROUTER[:3] or address == EVERYBODY:
            return is_for_user_network(frame)
        found, until = self.known.get(address, (False, 0.0))
        now = time.monotonic()
        if now >= until:
            if len(self.known) >= KNOWN_ADDRESSES:
                self.known.clear()
            found = self.is_outside(ipaddress.IPv4Address(address))
            self.known[address] = found, now + KNOWN_SECONDS
        return found

    def is_outside(self, address: ipaddress.IPv4Address) -> bool:
        """Return whether an address is behind a gateway, or one of `neighbours`."""
        if any(address in network for network in NEVER):
            return False
        kind, bits, has_gateway = self.find_route(address.packed)
        if kind != RTN_UNICAST:  # this machine's own, a broadcast, one that is refused
            return False
        is_far = has_gateway or bits <= DEFAULT_BITS
        return is_far or any(address in network for network in self.neighbours)


def is_for_user_network(frame: bytes) -> bool:
    """Return whether QEMU's user network answers a frame by itself, or it is an answer to one.

    The network connects to this machine for a lone SYN, and resets what else has no connection
    (libslirp, `tcp_input`). A fragment hides which it is.
    """
    address, protocol = frame[30:34], frame[23]
    length = (frame[HEADER] & 15) * 4
    data = frame[HEADER + length :]
    is_fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
    if is_fragment or length < 20 or len(data) < 8:  # noqa: PLR2004 - an IP and a UDP header
        return False
    port = int.from_bytes(data[2:4], "big")
    if protocol == UDP and port == DHCP:
        return address in {ROUTER, EVERYBODY}
    if address == RESOLVER:
        return protocol in {TCP, UDP} and port == DNS
    if address == ROUTER and protocol == TCP and len(data) >= 20:  # noqa: PLR2004 - its header
        return data[13] & (SYN | ACK) != SYN
    return address == ROUTER and protocol == ICMP


def find_kernel_route(address: bytes) -> tuple[int, int, bool]:
    """Return type and prefix length of this machine's route, and whether a gateway is on it.

    The type is 0 where there is no route. See rtnetlink(7).
    """
    body = struct.pack("=8BI", socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, RTM_F_FIB_MATCH)
    body += struct.pack("=HH", 4 + len(address), RTA_DST) + address
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:  # 0 is NETLINK_ROUTE
        kernel.send(struct.pack("=IHHII", 16 + len(body), RTM_GETROUTE, 1, 1, 0) + body)
        answer = kernel.recv(ONCE)
    if int.from_bytes(answer[4:6], sys.byteorder) != RTM_NEWROUTE:
        return 0, 0, False
    return answer[23], answer[17], not GATEWAYS.isdisjoint(list_attributes(answer[28:]))


def list_attributes(data: bytes) -> Iterator[int]:
    """Yield the types of a netlink message's attributes."""
    while len(data) >= 4:  # noqa: PLR2004 - an attribute's header
        length, kind = struct.unpack_from("=HH", data)
        yield kind
        data = data[max(4, (length + 3) & ~3) :]


def pass_frames(guest: socket.socket, network: socket.socket, rules: Filter) -> None:
    """Pass on the frames that may leave; QEMU puts its length, 4 bytes, before each."""
    waiting = b""
    while chunk := guest.recv(ONCE):
        waiting, at, passed = waiting + chunk, 0, []
        while len(waiting) - at >= 4:  # noqa: PLR2004 - see above
            length = int.from_bytes(waiting[at : at + 4], "big")
            if length > LARGEST_FRAME:
                return
            end = at + 4 + length
            if end > len(waiting):
                break
            if rules.may_leave(waiting[at + 4 : end]):
                passed.append(waiting[at:end])
            at = end
        waiting = waiting[at:]
        if passed:
            network.sendall(b"".join(passed))


def pass_all(network: socket.socket, guest: socket.socket) -> None:
    """Pass on what comes for the guest."""
    while chunk := network.recv(ONCE):
        guest.sendall(chunk)


def keep_console(source: int, path: str) -> None:
    """Write what the guest prints to a file, until QEMU has ended; of much keep the end.

    A full disk loses lines, and ends nothing.
    """
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while chunk := os.read(source, ONCE):
        with suppress(OSError):
            os.write(file, chunk)
            if os.fstat(file).st_size > MOST_BYTES:
                cut_console(file)


def cut_console(file: int) -> None:
    """Cut a log that is open to append to its last `KEPT_BYTES`.

    What others write in the moment of the cut is lost.
    """
    end = os.pread(file, KEPT_BYTES, os.fstat(file).st_size - KEPT_BYTES)
    os.ftruncate(file, 0)
    os.write(file, CUT + end)


def main(console: str, neighbours: str, *pairs: str) -> None:
    """Serve one QEMU until it has ended."""
    rules = Filter(neighbours.split(",") if neighbours else [])
    for pair in pairs:
        guest, network = (socket.socket(fileno=int(number)) for number in pair.split(":"))
        for work in ((pass_frames, guest, network, rules), (pass_all, network, guest)):
            threading.Thread(target=work[0], args=work[1:], daemon=True).start()
    keep_console(0, console)


if __name__ == "__main__":
    main(*sys.argv[1:])
