"""What no stack owns on this machine: real folders, locks and small processes, no guest."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.haproxy_world import find_free_port
from harness.local_world import STACK, make_fleet, start_process
from immutable_servers.contract.ownership import Holdings, Leftover, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import RetirementError
from immutable_servers.system import places
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_json
from immutable_servers.system.processes import identify_process, write_process
from immutable_servers.system.supervisor import read_stat
from immutable_servers.targets.local import LocalTarget, consoles, layout, relay
from immutable_servers.targets.local.held_ports import find_holders, hold_port
from immutable_servers.targets.local.ports import is_free
from immutable_servers.targets.local.qemu import EMULATOR

OWNER = Owner("file:///shop/state", "0123456789ab", "organization", "shop", "dev", "/shop")
ALIVE = Holdings(exists=True, names=frozenset({"web-aaaaaaaa", "balancer"}))
GONE = Holdings()
TARGET = LocalTarget({})


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A data folder and a folder for sockets of the test's own."""
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        yield


def own(owner: Owner = OWNER) -> None:
    """Record whose the stack is."""
    write_json(layout.owner_file(Scope(owner.project, owner.stack)), asdict(owner))


def find(held: Holdings | Mapping[str, Holdings]) -> list[tuple[str, str, bool]]:
    """Return kind, name and sureness of what is left over, where states say this by their stack."""
    return [
        (one.kind, one.name, one.sure) for one in TARGET.ownership.find_leftovers(make_ask(held))
    ]


def make_ask(held: Holdings | Mapping[str, Holdings]):  # type: ignore[no-untyped-def] # noqa: ANN201 - an `Ask`
    """Return what asks: every owner holds the same, or each what its stack's name says."""

    def ask(owner: Owner | None) -> Holdings:
        if owner is None:
            return Holdings(unasked="nobody recorded it")
        return held if isinstance(held, Holdings) else held[owner.stack]

    return ask


def remove(kind: str, name: str, held: Holdings) -> bool:
    """Remove one thing."""
    return TARGET.ownership.remove_leftover(Leftover(kind, name, ""), make_ask(held))


def make_name_of_dead_run(name: str) -> str:
    """Return the name of a half folder whose maker had this process's number, and is gone."""
    stat = read_stat(os.getpid())
    assert stat
    return f".{name}.{os.getpid()}.{stat.started - 1}"


def test_a_fleet_that_its_living_stack_does_not_know_is_left_over() -> None:
    """What the state knows stays, what it does not know goes, with its disk and its process."""
    own()
    known, unknown = make_fleet("web-aaaaaaaa"), make_fleet("web-bbbbbbbb")
    server = unknown / "servers/0"
    with start_process(EMULATOR, "-pidfile", f"{server}/pid") as process:
        identity = identify_process(process.pid, server)
        assert identity
        write_process(server / "process.json", identity)
        assert find(ALIVE) == [("fleet", "shop/dev/web-bbbbbbbb", True)]
        assert remove("fleet", "shop/dev/web-bbbbbbbb", ALIVE)
        assert process.wait(10) < 0
    assert not unknown.exists()
    assert known.exists()
    assert find(ALIVE) == []


def test_a_run_that_is_under_way_has_no_leftovers() -> None:
    """What it has launched is in no state yet; where a backend cannot tell, nothing is sure."""
    own()
    make_fleet("web-bbbbbbbb")
    assert find(Holdings(exists=True, run="under way")) == []
    unknown = Holdings(exists=True, run="unknown")
    assert find(unknown) == [("fleet", "shop/dev/web-bbbbbbbb", False)]


def test_a_fleet_that_was_adopted_meanwhile_stays() -> None:
    """The state is asked again before anything is deleted."""
    own()
    folder = make_fleet("web-bbbbbbbb")
    assert find(ALIVE) == [("fleet", "shop/dev/web-bbbbbbbb", True)]
    knows = Holdings(exists=True, names=ALIVE.names | {"web-bbbbbbbb"})
    assert not remove("fleet", "shop/dev/web-bbbbbbbb", knows)
    assert folder.exists()


def test_what_serves_is_not_removed_from_a_living_stack() -> None:
    """A run that died after traffic moved: the fleet is unknown to the state, and live."""
    own()
    folder = make_fleet("web-bbbbbbbb")
    pointers = "".join(f"web:{slot} web-bbbbbbbb\n" for slot in range(100))
    layout.balancer_dir(STACK).mkdir(parents=True, exist_ok=True)
    (layout.balancer_dir(STACK) / "traffic.map").write_text(pointers)
    assert find(ALIVE) == [("fleet", "shop/dev/web-bbbbbbbb", False)]
    with pytest.raises(RetirementError, match="web-bbbbbbbb serves"):
        remove("fleet", "shop/dev/web-bbbbbbbb", ALIVE)
    assert folder.exists()


def test_a_balancer_goes_unless_it_runs() -> None:
    """One that nobody's state holds: while it runs it may serve, and after that it goes by name."""
    own()
    doubt, name = Holdings(exists=True, run="unknown"), "shop/dev/balancer"
    folder = layout.balancer_dir(STACK)
    folder.mkdir(parents=True)
    with start_process("haproxy", "-p", f"{folder}/pid") as process:
        identity = identify_process(process.pid, folder)
        assert identity
        write_process(folder / "process.json", identity)
        with pytest.raises(RetirementError, match=f"{name} serves"):
            remove("balancer", name, doubt)
        assert process.poll() is None
    assert find(doubt) == [("balancer", name, False)]
    assert remove("balancer", name, doubt)
    assert not folder.exists()


def test_only_a_stack_whose_state_says_that_it_is_gone_is_sure() -> None:
    """Living stacks of other checkouts are not touched; what cannot be asked is only listed."""
    for name in ("alive", "gone", "away"):
        make_fleet("web-aaaaaaaa", Scope("shop", name))
        own(Owner("file:///x", "0", "organization", "shop", name, "/x"))
    make_fleet("web-aaaaaaaa", Scope("shop", "nobodys"))
    says = {"alive": ALIVE, "gone": GONE, "away": Holdings(unasked="not mounted")}
    assert find(says) == [
        ("stack", "shop/away", False),
        ("stack", "shop/gone", True),
        ("stack", "shop/nobodys", False),
    ]
    assert remove("stack", "shop/gone", GONE)
    assert not (layout.stacks_dir() / "shop/gone").exists()
    assert not remove("stack", "shop/gone", GONE)
    assert (layout.stacks_dir() / "shop/alive/generations/web-aaaaaaaa/record.json").exists()


def test_a_stack_that_came_to_life_is_not_removed() -> None:
    """Named or not: a state that holds the stack by now keeps it."""
    own()
    folder = make_fleet("web-aaaaaaaa")
    assert not remove("stack", "shop/dev", ALIVE)
    assert folder.exists()


def test_a_machine_whose_folder_is_gone_is_ended() -> None:
    """By the command line alone; one of a folder that exists, or of another place, is not ours."""
    own()
    known = make_fleet("web-aaaaaaaa") / "servers/0"
    gone = layout.generations_dir(STACK) / "web-bbbbbbbb/servers/0"
    with (
        start_process(EMULATOR, "-pidfile", f"{gone}/pid") as stray,
        start_process(EMULATOR, "-pidfile", f"{known}/pid") as machine,
        start_process(EMULATOR, "-pidfile", "/elsewhere/servers/0/pid") as foreign,
        start_process("less", "-pidfile", f"{gone}/pid") as reader,
    ):
        assert find(ALIVE) == [("machine", str(stray.pid), True)]
        assert not remove("machine", str(machine.pid), ALIVE)
        assert remove("machine", str(stray.pid), ALIVE)
        assert stray.wait(10) < 0
        assert [other.poll() for other in (machine, foreign, reader)] == [None, None, None]


def test_a_port_that_is_held_for_nobody_is_given_back() -> None:
    """The process that keeps the port of a machine whose folder is gone by hand ends."""
    own()
    folder, port = make_fleet("web-aaaaaaaa") / "servers/0", find_free_port()
    with hold_port(folder, port):
        pass
    (holder,) = find_holders(folder).values()
    assert find(ALIVE) == []
    shutil.rmtree(folder)
    assert find(ALIVE) == [("machine", str(holder.pid), True)]
    assert remove("machine", str(holder.pid), ALIVE)
    assert find(ALIVE) == []
    assert is_free(port)


def test_a_machine_that_serves_without_its_folder_is_not_ended() -> None:
    """A fleet's folder was deleted by hand: until `up` has made another, its servers answer."""
    own()
    gone = layout.generations_dir(STACK) / "web-bbbbbbbb/servers/0"
    pointers = "".join(f"web:{slot} web-bbbbbbbb\n" for slot in range(100))
    layout.balancer_dir(STACK).mkdir(parents=True, exist_ok=True)
    (layout.balancer_dir(STACK) / "traffic.map").write_text(pointers)
    with start_process(EMULATOR, "-pidfile", f"{gone}/pid") as stray:
        assert find(ALIVE) == [("machine", str(stray.pid), False)]
        with pytest.raises(RetirementError, match="serves"):
            remove("machine", str(stray.pid), ALIVE)
        assert stray.poll() is None


def test_the_machine_of_a_dead_bake_goes_before_its_half_artifact() -> None:
    """The maker's number and start time are in the folder's name; a living maker keeps both."""
    stat = read_stat(os.getpid())
    assert stat
    app = layout.images_dir() / "app"
    mine, dead = app / f".1.{os.getpid()}.{stat.started}", app / make_name_of_dead_run("2")
    for half in (mine, dead):
        (half / "output").mkdir(parents=True)
    drive = "if=none,file={}/output/disk.qcow2,format=qcow2"
    with (
        start_process(EMULATOR, "-drive", drive.format(mine)) as bake,
        start_process(EMULATOR, "-drive", drive.format(dead)) as left,
    ):
        found = find({})
        assert found == [
            ("machine", str(left.pid), True),
            ("half artifact", f"images/app/{dead.name}", True),
        ]
        for kind, name, _ in found:
            assert remove(kind, name, GONE)
        assert left.wait(10) < 0
        assert bake.poll() is None
    assert [*app.iterdir()] == [mine]


def make_probe() -> Path:
    """Make a probe; return its lock."""
    folder = layout.probes_dir(STACK) / "web-aaaaaaaa-17"
    (folder / "server").mkdir(parents=True)
    return folder / "lock"


def test_a_probe_is_its_runs_while_that_holds_the_lock() -> None:
    """`verify --keep` may run for days; when it was killed, its probe is nobody's."""
    lock = make_probe()
    with hold_lock(lock, 0, "the probe"):
        assert find(ALIVE) == []
    assert find(ALIVE) == [("probe", "shop/dev/probes/web-aaaaaaaa-17", True)]
    assert remove("probe", "shop/dev/probes/web-aaaaaaaa-17", ALIVE)
    assert not layout.stacks_dir().exists()


def test_a_lock_of_a_version_is_its_holders() -> None:
    """A lock file that nobody holds was left by a kill."""
    file = places.data_dir() / "locks/local/app-3f2a9c41d0e7"
    with hold_lock(file, 0, "the version"):
        assert find({}) == []
        assert not remove("lock", "local/app-3f2a9c41d0e7", GONE)
    assert remove("lock", "local/app-3f2a9c41d0e7", GONE)
    assert not file.exists()


def test_ports_sockets_and_old_consoles_of_what_is_gone() -> None:
    """Each names its owner; what has one stays."""
    server = make_fleet("web-aaaaaaaa") / "servers/0"
    own()
    folder = places.data_dir() / "ports"
    folder.mkdir(parents=True)
    (folder / "20000").write_text(str(server))
    (folder / "20001").write_text(str(server.with_name("1")))
    kept, gone = places.runtime_dir(server), places.runtime_dir(server.with_name("1"))
    (gone / "qmp").write_text("")
    logs = places.data_dir() / "logs/shop/dev/web-bbbbbbbb"
    logs.mkdir(parents=True)
    for name, age in (("web-bbbbbbbb-0.log", 8), ("web-bbbbbbbb-1.log", 6)):
        (logs / name).write_text("booting\n")
        moment = time.time() - age * 24 * 3600
        os.utime(logs / name, (moment, moment))
    found = find(ALIVE)
    assert found == [
        ("port", "20001", True),
        ("sockets", gone.name, True),
        ("console log", "logs/shop/dev/web-bbbbbbbb/web-bbbbbbbb-0.log", True),
    ]
    assert all(remove(kind, name, ALIVE) for kind, name, _ in found)
    assert find(ALIVE) == []
    assert kept.exists()
    assert (folder / "20000").exists()
    assert [file.name for file in logs.iterdir()] == ["web-bbbbbbbb-1.log"]


def test_an_update_tidies_what_dead_runs_left_and_asks_nobody() -> None:
    """Keys without a fleet, probes and halves go; fleets, known or not, are the graph's matter."""
    fleet = make_fleet("web-bbbbbbbb")
    make_probe().touch()
    half = layout.images_dir() / "app" / make_name_of_dead_run("2")
    half.mkdir(parents=True)
    for name in ("web-cccccccc", "web-dddddddd"):
        folder = layout.generations_dir(STACK) / name
        folder.mkdir()
        (folder / "key").write_text("PRIVATE")
    TARGET.ownership.begin_update(OWNER, {"web-dddddddd"})
    assert TARGET.ownership.find_owner(STACK) == OWNER
    left = {path.name for path in layout.generations_dir(STACK).iterdir()}
    assert left == {"web-bbbbbbbb", "web-dddddddd"}
    assert fleet.exists()
    assert not half.exists()
    assert not layout.probes_dir(STACK).exists()


def test_a_console_that_grows_is_cut_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wrote to it goes on behind the cut. Another stack's console is left alone."""
    monkeypatch.setattr(consoles, "MOST_BYTES", 4000)
    monkeypatch.setattr(relay, "KEPT_BYTES", 1000)
    logs = [
        make_fleet("web-aaaaaaaa", stack) / "servers/0/console.log"
        for stack in (STACK, Scope("shop", "prod"))
    ]
    for log in logs:
        log.write_text("".join(f"line {number}\n" for number in range(1000)))
    before = logs[1].stat().st_size
    with logs[0].open("a") as machine:
        TARGET.ownership.begin_update(OWNER, ())
        machine.write("line 1000\n")
    first, *_, last = logs[0].read_text().splitlines()
    assert (first, last) == ("(earlier lines were cut)", "line 1000")
    assert logs[0].stat().st_size < 1100
    assert logs[1].stat().st_size == before


def test_the_owner_goes_with_the_last_of_the_stack() -> None:
    """A destroyed stack leaves no folder; a record that cannot be read is nobody's."""
    folder = make_fleet("web-aaaaaaaa")
    own()
    layout.remove_empty_folders(STACK)
    assert TARGET.ownership.find_owner(STACK) == OWNER
    shutil.rmtree(folder)
    layout.remove_empty_folders(STACK)
    assert not layout.stacks_dir().exists()
    write_json(layout.owner_file(STACK), {"backend": "x"})
    assert TARGET.ownership.find_owner(STACK) is None


def test_a_planted_folder_for_sockets_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else has put under our name is neither listed nor removed."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(places, "SHARED", tmp_path)
    planted = tmp_path / f"immutable-{os.getuid()}" / "0a1b2c3d"
    planted.mkdir(parents=True)
    os.utime(planted, (0, 0))
    assert find(ALIVE) == []
    planted.parent.chmod(0o700)
    assert find(ALIVE) == [("sockets", planted.name, True)]
