"""What leaves a guest, and what is kept of what it prints."""

import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from harness.wire_guest import (
    ACK,
    ARP,
    ROUTER,
    SYN,
    TCP,
    make_ethernet,
    make_ipv4,
    make_tcp,
    make_udp,
)
from immutable_servers.targets.local import relay
from immutable_servers.targets.local.relay import Filter

FAR, NEAR = "203.0.113.80", "192.0.2.9"
RESOLVER, ANY = "10.0.2.3", "0.0.0.0"  # noqa: S104 - nothing is bound to it
IPV6 = 0x86DD
ROUTES = {
    FAR: (relay.RTN_UNICAST, 0, True),
    NEAR: (relay.RTN_UNICAST, 24, False),
    "192.0.2.2": (2, 32, False),  # RTN_LOCAL
    "192.0.2.255": (3, 32, False),  # RTN_BROADCAST
    "10.8.0.1": (relay.RTN_UNICAST, 8, True),
}


def make_rules(*neighbours: str) -> Filter:
    """Return the rules on a machine that has the routes above, and a default one."""
    return Filter(neighbours, lambda to: ROUTES.get(str(ipaddress.IPv4Address(to)), ROUTES[FAR]))


LEAVE = {
    "an address behind a gateway": make_tcp(FAR, 443),
    "the same without a connection": make_udp(FAR, 123),
    "a part of a packet to it": make_ipv4(FAR, TCP, bytes(8), fragment=0x2000),
    "a network of a company": make_tcp("10.8.0.1", 5432),
    "who has this address": make_ethernet(ARP, bytes(28)),
    "a question for the resolver": make_udp(RESOLVER, 53),
    "a long one": make_tcp(RESOLVER, 53),
    "who gives me an address": make_udp("255.255.255.255", 67),
    "an answer to who came by a forwarded port": make_tcp(ROUTER, 50000, SYN | ACK),
    "what follows": make_tcp(ROUTER, 50000, ACK),
}
STAY = {
    "a connection to this machine's loopback": make_tcp(ROUTER, 5432),
    "the same, its header in two parts": make_ipv4(ROUTER, TCP, bytes(24), fragment=0x2000),
    "its second part": make_ipv4(ROUTER, TCP, bytes(24), fragment=1),
    "a packet to the loopback": make_udp(ROUTER, 53),
    "another port of the resolver's machine": make_tcp(RESOLVER, 22),
    "an address that stands for the loopback too": make_tcp("10.0.2.77", 22),
    "the loopback itself": make_tcp("127.0.0.1", 22),
    "what Linux takes for it": make_tcp(ANY, 22),
    "this machine": make_tcp("192.0.2.2", 22),
    "what is on its wire": make_tcp(NEAR, 22),
    "all that are on it": make_udp("192.0.2.255", 137),
    "everybody": make_udp("255.255.255.255", 137),
    "the metadata of a cloud": make_tcp("169.254.169.254", 80),
    "a group": make_udp("224.0.0.251", 5353),
    "IPv6": make_ethernet(IPV6, bytes(60)),
    "half a header": make_tcp(FAR, 443)[:33],
    "nothing": b"",
}


@pytest.mark.parametrize("what", LEAVE)
def test_frames_that_leave(what: str) -> None:
    """A bake's guest reaches the network, and answers who comes by a forwarded port."""
    assert make_rules().may_leave(LEAVE[what])


@pytest.mark.parametrize("what", STAY)
def test_frames_that_stay(what: str) -> None:
    """Nothing of this machine is reached, nor what is on its wires, nor a cloud's metadata."""
    assert not make_rules().may_leave(STAY[what])


def test_neighbours_that_the_settings_name_are_reached() -> None:
    """They are those alone; never this machine, nor a cloud's metadata."""
    rules = make_rules(f"{NEAR}/32", "192.0.2.2/32", "169.254.0.0/16")
    reached = {to for to in ("169.254.1.1", *ROUTES) if rules.may_leave(make_tcp(to, 80))}
    assert reached == {FAR, NEAR, "10.8.0.1"}


@given(some.binary(max_size=80), some.sampled_from(sorted(ROUTES.keys() - {FAR, "10.8.0.1"})))
@example(b"", ROUTER)
def test_no_frame_to_a_closed_address_opens_a_connection(data: bytes, address: str) -> None:
    """Whatever a packet holds, in whatever header: it stays, or QEMU opens nothing for it."""
    for head in (0x45, 0x46, 0x4F, 0x40, 0x65):
        frame = bytearray(make_ipv4(address, TCP, data))
        frame[14] = head
        assert not make_rules().may_leave(bytes(frame))


@given(some.binary(max_size=100), some.sampled_from([b"", relay.IPV4, relay.ARP]))
def test_no_frame_breaks_the_filter(frame: bytes, kind: bytes) -> None:
    """A guest says what it likes: the answer is yes or no, and the relay goes on."""
    assert make_rules().may_leave(frame[:12] + kind + frame[12:]) in {True, False}


@given(some.binary(min_size=66, max_size=120))
def test_no_frame_to_the_router_is_a_lone_syn(frame: bytes) -> None:
    """What leaves for the loopback's address is whole, and no beginning of a connection."""
    frame = frame[:12] + relay.IPV4 + frame[14:23] + bytes([TCP]) + frame[24:30]
    frame = (frame + relay.ROUTER + bytes(86))[:120]
    if make_rules().may_leave(frame):
        header = (frame[14] & 15) * 4
        assert frame[14 + header + 13] & (SYN | ACK) != SYN
        assert not struct.unpack_from("!H", frame, 20)[0] & 0x3FFF


def test_the_kernel_says_where_an_address_is() -> None:
    """In a network of its own, with a wire, a gateway and a tunnel, the filter knows each."""
    commands = """
ip link set lo up
ip link add wire type veth peer name vpn
ip addr add 192.0.2.2/24 dev wire && ip link set wire up && ip link set vpn up
ip addr add 169.254.169.254/32 dev wire
ip route add default via 192.0.2.1
ip route add local 198.18.0.0/24 dev lo
ip route add blackhole 198.18.1.0/24
ip route add 10.8.0.0/16 dev vpn
"""
    ask = (
        "import json, sys, ipaddress; sys.path.insert(0, sys.argv[1]); import relay\n"
        "rules = relay.Filter(['192.0.2.7'])\n"
        "print(json.dumps([a for a in sys.argv[2:] if rules.is_outside(ipaddress.IPv4Address(a))]))"
    )
    reached = ["203.0.113.80", "10.9.0.1", "192.0.2.7"]
    closed = ["127.0.0.1", "192.0.2.2", "192.0.2.1", "192.0.2.9", "192.0.2.255", "198.18.0.9"]
    closed += ["198.18.1.1", "169.254.169.254", "10.8.0.1", "224.0.0.1", ANY]
    program = [sys.executable, "-c", ask, str(Path(relay.__file__).parent), *reached, *closed]
    network = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*network, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no network of its own")
    inside = [*network, "sh", "-ec", f'{commands}exec "$@"', "sh"]
    done = subprocess.run([*inside, *program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == reached


def test_a_flood_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A console never takes more than its bound, whatever is printed; the last lines are there."""
    monkeypatch.setattr(relay, "MOST_BYTES", 2**20)
    monkeypatch.setattr(relay, "KEPT_BYTES", 2**18)
    largest, log = 0, tmp_path / "console.log"
    write = os.write

    def watch(file: int, data: bytes) -> int:
        nonlocal largest
        written = write(file, data)
        largest = max(largest, os.fstat(file).st_size)
        return written

    monkeypatch.setattr("os.write", watch)
    source = tmp_path / "printed"
    source.write_bytes(b"no end of a line " * 2**19 + b"\nthe kernel panicked\n")
    with source.open("rb") as stream:
        relay.keep_console(stream.fileno(), str(log))
    assert source.stat().st_size > 8 * 2**20
    assert largest <= 2**20 + relay.ONCE
    assert log.read_bytes().startswith(relay.CUT)
    assert log.read_bytes().endswith(b"\nthe kernel panicked\n")


def test_a_full_disk_ends_no_relay(tmp_path: Path) -> None:
    """Lines are lost, and the guest's network goes on: the console is read to its end."""
    source = tmp_path / "printed"
    source.write_bytes(bytes(3 * relay.ONCE))
    with source.open("rb") as stream:
        relay.keep_console(stream.fileno(), "/dev/full")
        assert os.read(stream.fileno(), 1) == b""


def test_frames_are_passed_on_whole() -> None:
    """However a stream is cut, what may leave comes out, in its order, and the rest does not."""
    frames = [
        make_tcp(FAR, 1),
        make_tcp(ROUTER, 1),
        make_tcp(FAR, 2),
        make_ethernet(IPV6, bytes(9)),
    ]
    framed = [struct.pack("!I", len(frame)) + frame for frame in frames]
    (guest, card), (network, hub) = socket.socketpair(), socket.socketpair()
    with guest, card, network, hub:
        whole = b"".join(framed)

        class Slow:
            """A socket that gives three bytes at once."""

            def __init__(self) -> None:
                self.at = 0

            def recv(self, _most: int) -> bytes:
                """Return the next three."""
                self.at += 3
                return whole[self.at - 3 : self.at]

        relay.pass_frames(Slow(), network, make_rules())  # type: ignore[arg-type]
        assert hub.recv(4096) == framed[0] + framed[2]
