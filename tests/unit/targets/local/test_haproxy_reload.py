"""Questions and changes while the real HAProxy is reloaded for other services."""

import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.haproxy_world import ask, find_free_port, start_server
from immutable_servers.contract.values import Answers, Route, Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import LocalTarget, haproxy_socket, layout
from immutable_servers.targets.local.haproxy_pointers import find_pointers, write_pointers
from immutable_servers.targets.local.haproxy_process import find_master
from immutable_servers.targets.local.haproxy_socket import find_workers
from immutable_servers.targets.place import Place
from immutable_servers.traffic.canary import Watch

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")

BALANCER = LocalTarget({}).balancer
STACK = Scope("demo", "dev")
GOOD, SICK = Scope("demo", "dev", "web", "aaaaaaaa"), Scope("demo", "dev", "web", "bbbbbbbb")
RELOADS = 12
SERVICES = 8


@pytest.fixture
def route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """A running balancer, with a good generation that has the traffic and a sick one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="sockets-") as short, start_server("web") as port:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        route = Route("web", find_free_port())
        BALANCER.start(STACK, [route])
        BALANCER.register(GOOD, "/", {"web-aaaaaaaa-0": port})
        BALANCER.register(SICK, "/moved", {"web-bbbbbbbb-0": port})
        assert wait_until("a check", 20, _is_sick, every=0.1)
        BALANCER.set_traffic(GOOD, {GOOD.generation: 100})
        yield route
        BALANCER.stop(STACK)


def _is_sick() -> bool:
    return not BALANCER.find_members(SICK)["web-bbbbbbbb-0"].up


def _reload() -> None:
    for number in range(RELOADS):
        BALANCER.register(Scope("demo", "dev", f"other{number}", "cccccccc"), "/", {"o-0": 1})


@pytest.mark.usefixtures("route")
def test_every_question_is_answered_while_others_are_registered() -> None:
    """No reader fails, or sees another pointer or health than the one that there is."""
    over = threading.Event()

    def read() -> list[object]:
        seen: list[object] = []
        while not over.is_set():
            seen += [
                BALANCER.find_weights(GOOD),
                BALANCER.find_members(GOOD)["web-aaaaaaaa-0"].up,
                BALANCER.find_members(SICK)["web-bbbbbbbb-0"].up,
                bool(BALANCER.find_answers(GOOD)),
            ]
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            _reload()
        finally:
            over.set()
        for reader in readers:
            seen = reader.result()
            assert len(seen) > RELOADS
            assert seen == [{GOOD.generation: 100}, True, False, True] * (len(seen) // 4)


def test_a_watch_counts_each_answer_over_reloads(route: Route) -> None:
    """What an earlier worker answered last is counted too: neither lost nor counted twice."""
    watch = Watch(Place("local", {}, GOOD))
    with ThreadPoolExecutor(2) as pool:
        reloads = pool.submit(_reload)
        asked = 0
        while not reloads.done():
            assert ask(route.port) == (200, "web")
            asked += 1
        reloads.result()
    # One look, long after most of the workers have had their last request.
    assert watch.look() == Answers(asked, 0)
    assert asked > RELOADS


@pytest.mark.usefixtures("route")
def test_a_worker_that_is_kept_holds_no_drain_up() -> None:
    """An earlier worker that points to a generation, and has no client, brings no request."""
    BALANCER.register(Scope("demo", "dev", "web", "dddddddd"), "/", {})
    said: list[str] = []
    BALANCER.set_traffic(GOOD, {})
    workers = find_workers(find_master(layout.balancer_dir(STACK)))
    assert workers.earlier
    BALANCER.drain(GOOD, 20, said.append)
    assert said == ["drained"]


@pytest.mark.usefixtures("route")
def test_a_server_at_another_port_is_asked_anew() -> None:
    """What was known of a server at its old port is not believed of the new one."""
    with start_server("other") as port:
        BALANCER.register(SICK, "/", {"web-bbbbbbbb-0": port})
        assert BALANCER.find_members(SICK)["web-bbbbbbbb-0"].up
    dead = find_free_port()
    BALANCER.register(GOOD, "/", {"web-aaaaaaaa-0": dead})
    assert not BALANCER.find_members(GOOD)["web-aaaaaaaa-0"].up


@contextmanager
def start_cutter(master: Path, seed: int) -> Iterator[Path]:
    """Yield a socket that passes on to the master, and cuts two of three connections off."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    path = master.with_name("cutter")

    def pass_on(client: socket.socket) -> None:
        how = chance.choice(["refused", "unheard", "unanswered", "half", "whole", "whole"])
        with client, suppress(OSError):
            if how == "refused":
                return
            said = b"".join(iter(lambda: client.recv(65536), b""))
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(str(master))
                server.sendall(said[: len(said) // 2] if how == "unheard" else said)
                server.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: server.recv(65536), b""))
            if how in ("half", "whole"):
                client.sendall(answer if how == "whole" else answer[: len(answer) // 2])

    def serve() -> None:
        with suppress(OSError):
            while True:
                pass_on(listener.accept()[0])

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


@pytest.mark.usefixtures("route")
def test_a_change_that_is_cut_off_anywhere_is_made_once() -> None:
    """Unheard, half heard, unanswered or half answered: the pointers are those that were asked."""
    master = find_master(layout.balancer_dir(STACK))
    for seed in range(4):
        wanted = {
            "web": {"web-aaaaaaaa": 100 - seed, **({"web-bbbbbbbb": seed} if seed else {})},
            **{f"other{number}": {"web-aaaaaaaa": 100} for number in range(seed)},
        }
        with start_cutter(master, seed) as cutter:
            write_pointers(cutter, wanted)
            assert find_pointers(cutter) == wanted
        assert find_pointers(master) == wanted


@pytest.mark.usefixtures("route")
def test_a_map_is_never_read_by_halves() -> None:
    """A long map that is replaced while it is listed is read again."""
    master = find_master(layout.balancer_dir(STACK))
    one, other = (
        {f"service-{number}": {f"service-{number}-{end}": 100} for number in range(SERVICES)}
        for end in ("aaaaaaaa", "bbbbbbbb")
    )
    write_pointers(master, one)
    over = threading.Event()

    def read() -> list[dict[str, dict[str, int]]]:
        seen = []
        while not over.is_set():
            seen.append(find_pointers(master))
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(20):
                write_pointers(master, other)
                write_pointers(master, one)
        finally:
            over.set()
        found = [found for reader in readers for found in reader.result()]
        assert [pointers for pointers in found if pointers not in (one, other)] == []


def test_a_balancer_that_never_answers_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is one for all tries, and the error says what came of the last."""
    monkeypatch.setattr(haproxy_socket, "SECONDS", 0.2)
    with pytest.raises(Exception, match="did not do as asked") as caught:
        find_workers(tmp_path / "none")
    assert "No such file" in str(caught.value)
