"""A guest made by hand: frames on the wire of a QEMU that runs no machine."""

import ipaddress
import socket
import struct
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from harness.local_stack import wait_until
from immutable_servers.targets.local.qemu import EMULATOR
from immutable_servers.targets.local.walled_qemu import answers

ADDRESS, ROUTER = "10.0.2.15", "10.0.2.2"
MAC, EVERY_MAC = bytes.fromhex("525400123456"), b"\xff" * 6
ARP, IPV4 = 0x0806, 0x0800
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
ANSWER_SECONDS = 2.0


def make_ethernet(kind: int, data: bytes) -> bytes:
    """Return a frame to everybody."""
    return EVERY_MAC + MAC + struct.pack("!H", kind) + data


def make_ipv4(to: str, protocol: int, data: bytes, *, fragment: int = 0) -> bytes:
    """Return a frame with a packet; `fragment` is the field of flags and offset."""
    ends = _pack(ADDRESS) + _pack(to)
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(data), 1, fragment, 64, protocol)
    return make_ethernet(IPV4, head + _sum(head + ends) + ends + data)


def make_tcp(to: str, port: int, flags: int = SYN, own_port: int = 40000, ack: int = 0) -> bytes:
    """Return a frame with a TCP header and nothing behind it."""
    head = struct.pack("!HHIIBBH", own_port, port, 1, ack, 0x50, flags, 65535)
    pseudo = _pack(ADDRESS) + _pack(to) + struct.pack("!HH", TCP, 20)
    return make_ipv4(to, TCP, head + _sum(pseudo + head + bytes(2)) + bytes(2))


def make_udp(to: str, port: int, data: bytes = b"hello") -> bytes:
    """Return a frame with a UDP packet, without a sum."""
    return make_ipv4(to, UDP, struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data)


def _pack(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def _sum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)


class WireGuest:
    """The guest of a user network, with the address that QEMU's manual gives it."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.stream = wire.makefile("rb")
        ask = struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + MAC + _pack(ADDRESS)
        self.send(make_ethernet(ARP, ask + bytes(6) + _pack(ROUTER)))  # so it knows our address

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self.wire.sendall(struct.pack("!I", len(frame)) + frame)

    def receive(self) -> Iterator[tuple[str, int, int, int, int]]:
        """Yield sender, both ports, flags and number of each TCP segment, while some come."""
        self.wire.settimeout(ANSWER_SECONDS)
        try:
            while head := self.stream.read(4):
                frame = self.stream.read(*struct.unpack("!I", head))
                if frame[12:14] == struct.pack("!H", IPV4) and frame[23] == TCP:
                    ports = struct.unpack_from("!HHI", frame, 34)
                    yield str(ipaddress.IPv4Address(frame[26:30])), *ports[:2], frame[47], ports[2]
        except TimeoutError:
            self.stream = self.wire.makefile("rb")

    def find_reached(self, ends: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Return the addresses and ports that take a connection."""
        asked = dict(enumerate(ends, 41000))
        for own_port, (address, port) in asked.items():
            self.send(make_tcp(address, port, own_port=own_port))
        opened = SYN | ACK
        return {asked[to] for _, _, to, flags, _ in self.receive() if flags & opened == opened}


@contextmanager
def start_guest(start: Sequence[str], network: str, card: str) -> Iterator[WireGuest]:
    """Run a QEMU without a machine, started by a program, and yield the guest on a network's wire.

    Args:
        start: What starts QEMU, without QEMU's arguments.
        network: What stands behind `-netdev`.
        card: Whose place the guest takes: the id that a card would be connected to.
    """
    ours, qemus = socket.socketpair()
    with tempfile.TemporaryDirectory(prefix="wire-") as folder, ours, qemus:
        ready = Path(folder) / "qmp"
        hub = ["-netdev", f"hubport,id=t.a,hubid=1,netdev={card}"]
        wire = ["-netdev", f"socket,id=t.b,fd={qemus.fileno()}"]
        command = [
            *start,
            *("-machine", "none", "-nodefaults", "-display", "none"),
            *("-qmp", f"unix:{ready},server=on,wait=off"),
            *("-netdev", network, *hub, *wire),
            *("-netdev", "hubport,id=t.c,hubid=1,netdev=t.b"),
        ]
        with subprocess.Popen(command, pass_fds=[qemus.fileno()]) as process:
            try:
                wait_until(partial(_runs, process, ready), 20)
                qemus.close()
                yield WireGuest(ours)
            finally:
                process.kill()


def _runs(process: "subprocess.Popen[bytes]", control: Path) -> bool:
    assert process.poll() is None, f"{EMULATOR} has ended"
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(control))
        return answers(connection)
    return False
