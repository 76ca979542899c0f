"""QEMU within its walls: the network that a guest is left with, on a real QEMU's wire."""

import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness.builders import MACHINE
from harness.local_stack import wait_until
from harness.wire_guest import ACK, ROUTER, SYN, make_tcp, make_udp, start_guest
from immutable_servers.errors import LaunchError
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.processes import end_process, identify_process
from immutable_servers.system.tools import run_tool
from immutable_servers.targets.local import walled_qemu
from immutable_servers.targets.local.machines import render_start
from immutable_servers.targets.local.qemu import EMULATOR, render_command
from immutable_servers.targets.local.walled_qemu import RefusedError, Ways

needs_qemu = pytest.mark.skipif(not shutil.which(EMULATOR), reason="QEMU is missing")
LOOPBACK, ANY = "127.0.0.1", "0.0.0.0"  # noqa: S104 - the test's point
BAKE = "user,id=user.0,hostfwd=tcp:127.0.0.1:{port}-:22"


@pytest.fixture
def listeners() -> Iterator[Mapping[str, int]]:
    """Yield the ports of two servers of this machine: on its loopback, and on all its addresses."""
    with ExitStack() as stack:
        made = {at: stack.enter_context(socket.create_server((at, 0))) for at in (LOOPBACK, ANY)}
        yield {at: server.getsockname()[1] for at, server in made.items()}


def list_ends(listeners: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return by which addresses a guest may try to reach them."""
    own = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET
    ]
    known = [ROUTER, "10.0.2.3", "10.0.2.4", "10.0.2.100", LOOPBACK, "127.0.0.53", ANY, *own]
    return [(address, port) for address in dict.fromkeys(known) for port in listeners.values()]


def render_network(guest: str, port: int) -> str:
    """Return the network of a bake's guest, of a server, or of one that reaches the network."""
    if guest == "bake":
        return BAKE.format(port=port)
    command = render_command(replace(MACHINE, http_port=port, reaches_out=guest == "network"))
    return command[command.index("-netdev") + 1]


def find_card(network: str) -> str:
    """Return the id that QEMU's card is connected to within the walls."""
    name = network.split(",")[1].removeprefix("id=")
    return name if "restrict=on" in network else f"{name}.card"


def find_free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server((LOOPBACK, 0)) as free:
        port: int = free.getsockname()[1]
        return port


@needs_qemu
def test_qemus_own_network_reaches_the_loopback(listeners: Mapping[str, int]) -> None:
    """That is what the walls are for, and what proves that the guest of these tests can connect."""
    ends = list_ends(listeners)
    with start_guest([EMULATOR], "user,id=n0", "n0") as guest:
        reached = guest.find_reached(ends)
    assert {(ROUTER, port) for port in listeners.values()} <= reached


@needs_qemu
@pytest.mark.parametrize("guest_of", ["bake", "server", "network"])
def test_a_guest_reaches_nothing_of_this_machine(
    guest_of: str, listeners: Mapping[str, int], tmp_path: Path
) -> None:
    """Neither in a bake nor as a server; and no packet reaches a server that takes packets."""
    network = render_network(guest_of, find_free_port())
    start = render_start("start", tmp_path, [])
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((LOOPBACK, 0))
        server.setblocking(False)  # noqa: FBT003 - socket's own
        with start_guest(start, network, find_card(network)) as guest:
            guest.send(make_udp(ROUTER, server.getsockname()[1]))
            assert guest.find_reached(list_ends(listeners)) == set()
        with pytest.raises(BlockingIOError):
            server.recv(1)
    for at, port in listeners.items():
        with socket.create_connection((at, port), 5):
            pass  # they were there all the time


@needs_qemu
@pytest.mark.parametrize("guest_of", ["bake", "server", "network"])
def test_a_forwarded_port_reaches_the_guest(guest_of: str, tmp_path: Path) -> None:
    """Who connects from this machine gets an answer."""
    port = find_free_port()
    network = render_network(guest_of, port)
    with (
        start_guest(render_start("start", tmp_path, []), network, find_card(network)) as guest,
        socket.create_connection((LOOPBACK, port), 5),
    ):
        segments = guest.receive()
        who, theirs, ours, flags, number = next(segments)
        assert (who, ours, flags) == (ROUTER, 22 if guest_of == "bake" else 80, SYN)
        guest.send(make_tcp(ROUTER, theirs, SYN | ACK, ours, number + 1))
        assert next(segments)[3] == ACK


ARGUMENTS = ("-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0,romfile=")


def test_a_card_is_connected_to_the_relay() -> None:
    """So nothing passes when it is gone; its network keeps the id by which ports are removed."""
    ways = Ways()
    words = ways.wall_off(ARGUMENTS)
    assert words[:2] == ["-sandbox", walled_qemu.SANDBOX]
    assert words[-1] == "virtio-net-pci,netdev=n0.card,romfile="
    assert len(ways.pairs) == 1
    assert f"socket,id=n0.card,fd={ways.inherited[0].fileno()}" in words
    assert "user,id=n0,ipv6=off" in words


@pytest.mark.parametrize(
    "arguments",
    [
        ("-nic", "user,model=virtio"),
        ("--nic", "hostfwd=tcp::1-:2"),
        ("-net", "user"),
        ("-netdev", '{"type": "user", "id": "n0"}'),
        ("-netdev", "user,id=n0,net=192.168.1.0/24"),
        ("-netdev", "user,id=n0,host=192.168.1.2"),
        ("-netdev", "user,id=n0,guestfwd=tcp:10.0.2.9:80-tcp:127.0.0.1:80"),
        ("--netdev", "type=user,id=n0,smb=/"),
        ("-netdev", "user"),
    ],
)
def test_a_network_without_a_place_for_the_relay_is_refused(arguments: Sequence[str]) -> None:
    """Other addresses, other words: a template says it in the one way that can be closed."""
    with pytest.raises(RefusedError):
        Ways().wall_off(arguments)


@pytest.mark.parametrize("option", ["--netdev", "-netdev"])
@pytest.mark.parametrize("kind", ["user", "type=user"])
def test_every_spelling_of_a_user_network_is_walled_off(option: str, kind: str) -> None:
    """QEMU takes two dashes, and the type by its name."""
    ways = Ways()
    ways.wall_off([option, f"{kind},id=n0,ipv6=on", "-device", "e1000,netdev=n0"])
    assert len(ways.pairs) == 1


def test_qemu_adds_no_card_of_its_own() -> None:
    """Without a word on networks it would, with a way out."""
    assert Ways().wall_off(["-m", "512"])[-2:] == ["-nic", "none"]


@needs_qemu
def test_qemu_runs_in_its_sandbox_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel filters its calls; a passphrase is in its environment in no case.

    What it prints goes to the console's log, and the relay ends with it.
    """
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "sample-passphrase-4471")
    command = render_boot(tmp_path)
    run_tool([*command, "-pidfile", str(tmp_path / "pid")], "", make_daemon_environment())
    qemu = psutil.Process(int((tmp_path / "pid").read_text()))
    (relay,) = find_relays(tmp_path)
    for process in (qemu, relay):
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"sample-passphrase" not in environment
        assert process.environ().keys() <= {*make_daemon_environment(), "LC_CTYPE"}
    status = Path(f"/proc/{qemu.pid}/status").read_text()
    assert "\nSeccomp:\t2\n" in status
    assert qemu.ppid() != os.getpid()
    end_process(identify_process(qemu.pid, tmp_path), 10)
    wait_until(partial(is_gone, relay), 10)


@needs_qemu
def test_qemus_own_words_are_in_the_error(tmp_path: Path) -> None:
    """A machine that does not start says why, and leaves no relay."""
    with pytest.raises(LaunchError, match=r"nowhere\.qcow2"):
        run_tool([*render_boot(tmp_path), "-drive", f"file={tmp_path}/nowhere.qcow2"], "no start")
    wait_until(lambda: not find_relays(tmp_path), 10)


def render_boot(folder: Path) -> list[str]:
    """Return a command that starts a QEMU without a machine in the background."""
    options = ["-machine", "none", "-nodefaults", "-display", "none"]
    return [*render_start("boot", folder, []), *options]


def find_relays(folder: Path) -> list[psutil.Process]:
    """Return the relays that write to a console in a folder."""
    line = [str(Path(walled_qemu.__file__).with_name("relay.py")), str(folder / "console.log")]
    processes = psutil.process_iter(["cmdline"])
    return [one for one in processes if (one.info["cmdline"] or [])[3:5] == line]


def is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
