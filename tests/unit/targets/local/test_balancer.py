"""The real HAProxy: pointers, weights, faults, and what is left behind."""

import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from harness.haproxy_world import ask, find_free_port, start_server
from immutable_servers.contract.front import Front
from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.resources import declared
from immutable_servers.resources.declared import note_declared
from immutable_servers.system.processes import end_process, find_process
from immutable_servers.system.supervisor import find_descendants, read_stat
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import LocalTarget, layout
from immutable_servers.targets.local.haproxy_config import LIMITS, Limits
from immutable_servers.targets.local.haproxy_process import find_master, read_parts
from immutable_servers.targets.local.haproxy_stats import count_sessions
from immutable_servers.targets.local.health import ask_health
from immutable_servers.targets.local.machines import Machine
from immutable_servers.targets.local.resources import BalancerProvider

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")

OLD, NEW = Scope("demo", "dev", "web", "aaaaaaaa"), Scope("demo", "dev", "web", "bbbbbbbb")
STACK = Scope("demo", "dev")
BALANCER = LocalTarget({}).balancer
_PROPS = {"scope": STACK.to_plain()}


@pytest.fixture
def route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """A running balancer with one route, in folders of the test's own, ended afterwards."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data with space"))
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:  # A socket's path must be.
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        route = Route("web", find_free_port())
        BALANCER.start(STACK, [route])
        yield route
        BALANCER.stop(STACK)


@pytest.fixture
def fleets(route: Route) -> Iterator[tuple[int, int]]:
    """Two generations with a server each, both known to the balancer; yield their ports."""
    assert route
    with start_server("old") as old, start_server("new") as new:
        BALANCER.register(OLD, "/", {"web-aaaaaaaa-0": old})
        BALANCER.register(NEW, "/", {"web-bbbbbbbb-0": new})
        yield old, new


@pytest.mark.usefixtures("fleets")
def test_a_balancer_that_was_replaced_is_not_ended(
    route: Route, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that declares it has another resource for it; a destroy has none, and ends it."""
    monkeypatch.chdir(tmp_path)
    engine = read_stat(os.getpid())
    monkeypatch.setattr(declared, "find_engine", lambda: engine)
    props = {"scope": STACK.to_plain(), "routes": [route.to_plain()]}
    BALANCER.set_traffic(NEW, {NEW.generation: 100})
    note_declared("dev", "local", {"web": {}}, [])
    BalancerProvider().delete(STACK.name, props)
    assert ask(route.port) == (200, "new")
    monkeypatch.setattr(declared, "find_engine", lambda: None)
    BalancerProvider().delete(STACK.name, props)
    assert BALANCER.find_process(STACK) is None


@pytest.mark.usefixtures("fleets")
def test_the_pointer_decides_who_answers(route: Route) -> None:
    """A known generation gets nothing before the pointer names it, and all after that."""
    assert BALANCER.find_weights(OLD) == {}
    assert ask(route.port)[0] == 503
    for scope, word in ((OLD, "old"), (NEW, "new"), (OLD, "old")):
        BALANCER.set_traffic(scope, {scope.generation: 100})
        assert BALANCER.find_weights(scope) == {scope.generation: 100}
        assert [ask(route.port) for _ in range(5)] == [(200, word)] * 5
    BALANCER.set_traffic(OLD, {})
    assert BALANCER.find_weights(OLD) == {}
    assert ask(route.port)[0] == 503


@pytest.mark.usefixtures("fleets")
def test_its_own_address_says_at_once_who_has_the_traffic(route: Route) -> None:
    """HAProxy has one node, which follows with the next request: `settle` may be short."""
    ask_front = BALANCER.prepare_question(Front(route, "/", 0.0), OLD)
    assert [reply.failure for reply in ask_front()] == ["503"]
    for scope, word in ((OLD, "old"), (NEW, "new"), (OLD, "old")):
        BALANCER.set_traffic(scope, {scope.generation: 100})
        assert [reply.names for reply in ask_front()] == [(word,)]


@pytest.mark.usefixtures("fleets")
def test_weights_share_the_requests(route: Route) -> None:
    """With 50 to 50 both answer, and the balancer says the weights as they were set."""
    BALANCER.set_traffic(OLD, {OLD.generation: 50, NEW.generation: 50})
    assert BALANCER.find_weights(OLD) == {OLD.generation: 50, NEW.generation: 50}
    answers = Counter(ask(route.port)[1] for _ in range(60))
    # Either missing among 60 happens once in 2**59 runs.
    assert set(answers) == {"old", "new"}


@pytest.mark.usefixtures("fleets")
def test_services_on_one_port_have_pointers_of_their_own(route: Route) -> None:
    """A host name's service does not follow another's pointer."""
    api = Scope("demo", "dev", "api", "cccccccc")
    with start_server("api") as port:
        BALANCER.start(STACK, [route, Route("api", route.port, "api.example.com")])
        BALANCER.register(api, "/", {"api-cccccccc-0": port})
        BALANCER.set_traffic(api, {api.generation: 100})
        BALANCER.set_traffic(OLD, {OLD.generation: 100})
        for host in ("api.example.com", "API.Example.com", "api.example.com."):
            for end in ("", f":{route.port}"):
                assert ask(route.port, host=host + end) == (200, "api")
        for host in ("localhost", "api.example.com.evil", "x.api.example.com", "api.example.co"):
            assert ask(route.port, host=host) == (200, "old")
        BALANCER.set_traffic(OLD, {})
        assert ask(route.port, host="api.example.com") == (200, "api")


def test_a_host_of_no_service_is_not_found(route: Route) -> None:
    """On a port that no service has for itself, also before any has a generation."""
    BALANCER.start(STACK, [Route("api", route.port, "api.example.com")])
    assert ask(route.port, host="apis.example.com") == (404, "no service has this host\n")
    assert ask(route.port, host="") == (404, "no service has this host\n")
    assert ask(route.port, host="api.example.com.") == (503, "no generation serves\n")


def test_with_every_server_down_all_are_tried(route: Route, fleets: tuple[int, int]) -> None:
    """They may serve in spite of a failing check; another generation gets nothing by that."""
    sick = {"web-aaaaaaaa-0": find_free_port(), "web-aaaaaaaa-1": fleets[0]}
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    BALANCER.register(OLD, "/moved", sick)

    def are_down() -> bool:
        return not any(member.up for member in BALANCER.find_members(OLD).values())

    assert wait_until("a check", 20, are_down, every=0.1)
    assert set(BALANCER.find_members(OLD)) == set(sick)
    assert [ask(route.port) for _ in range(4)] == [(200, "old")] * 4
    BALANCER.set_traffic(NEW, {NEW.generation: 100})
    with pytest.raises(TrafficError, match=r"no healthy server[\s\S]*DOWN: L7STS 302"):
        BALANCER.set_traffic(OLD, {OLD.generation: 100})
    assert ask(route.port) == (200, "new")


def test_a_drain_counts_what_servers_that_are_down_answer(
    route: Route, fleets: tuple[int, int]
) -> None:
    """They have a second name in the balancer, for the last resort."""
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    BALANCER.register(OLD, "/moved", {"web-aaaaaaaa-0": fleets[0]})

    def is_down() -> bool:
        return not BALANCER.find_members(OLD)["web-aaaaaaaa-0"].up

    assert wait_until("a check", 20, is_down, every=0.1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, route.port, "/slow")
        assert ask(fleets[0], "/wait") == (200, "old")
        BALANCER.set_traffic(NEW, {NEW.generation: 100})
        said: list[str] = []
        BALANCER.drain(OLD, 0.5, said.append)
        assert "connections left: 1" in said.pop()
        master = find_master(layout.balancer_dir(STACK))
        assert count_sessions(master, "web-aaaaaaaa", ["web-aaaaaaaa-0"]) == 1
        assert ask(fleets[0], "/release") == (200, "old")
        BALANCER.drain_servers(OLD, ["web-aaaaaaaa-0"], 20)
        BALANCER.drain(OLD, 20, said.append)
        assert said == ["drained"]
        assert slow.result() == (200, "old")


def test_a_stacks_limits_stay_with_its_balancer(route: Route) -> None:
    """Also when another service is registered, whose run knows nothing of them."""
    limits = {"timeout": 90.0, "header_size": 32.0}  # as the engine has numbers
    routes = [route.to_plain()]
    BalancerProvider().update("", {}, {**_PROPS, "routes": routes, "limits": limits})
    BALANCER.register(OLD, "/", {})
    folder = layout.balancer_dir(STACK)
    assert read_parts(folder).limits == Limits(90, 32)
    config = (folder / "haproxy.cfg").read_text()
    assert "timeout server 90000ms" in config
    assert f"tune.bufsize {33 * 1024}\n" in config
    BalancerProvider().update("", {}, {**_PROPS, "routes": routes})
    assert read_parts(folder).limits == LIMITS


def test_a_request_may_take_what_the_settings_say(route: Route, fleets: tuple[int, int]) -> None:
    """A long silence, and headers of 60 kB; beyond that the balancer says so in its own words."""
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    for size, status in ((60_000, 200), (70_000, 400)):
        assert ask(route.port, cookie="a" * size)[0] == status
    BALANCER.start(STACK, [route], Limits(timeout=1, header_size=16))
    assert ask(route.port, "/slow")[0] == 504
    assert ask(route.port, cookie="a" * 15_000) == (200, "old")
    assert ask(route.port, cookie="a" * 17_000)[0] == 400
    with ThreadPoolExecutor(1) as pool:
        BALANCER.start(STACK, [route], Limits(timeout=3600))
        slow = pool.submit(ask, route.port, "/slow")
        assert ask(fleets[0], "/wait") == (200, "old")
        assert ask(fleets[0], "/release") == (200, "old")
        assert slow.result() == (200, "old")


@pytest.mark.usefixtures("fleets")
def test_the_running_balancer_is_the_truth(route: Route) -> None:
    """A file that was changed by hand counts for nothing, and a reload does not bring it in."""
    BALANCER.set_traffic(NEW, {NEW.generation: 100})
    file = layout.balancer_dir(STACK) / "traffic.map"
    file.write_text(file.read_text().replace("web-bbbbbbbb", "web-aaaaaaaa"))
    assert BALANCER.find_weights(NEW) == {NEW.generation: 100}
    with start_server("third") as third:
        BALANCER.register(Scope("demo", "dev", "web", "cccccccc"), "/", {"w-0": third})
        assert ask(route.port) == (200, "new")
        assert "web-aaaaaaaa" not in file.read_text()


def test_the_daemon_has_nothing_of_the_users_environment(
    route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy runs for months: no key, token or passphrase is in the environment that it keeps."""
    BALANCER.stop(STACK)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    BALANCER.start(STACK, [route])
    process = BALANCER.find_process(STACK)
    assert process
    pids = [process.pid, *find_descendants(process.pid)]
    assert len(pids) > 1
    for pid in pids:
        kept = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"PATH=" in kept
        assert b"hunter2" not in kept


@pytest.mark.usefixtures("fleets")
def test_a_restart_keeps_the_pointers(route: Route) -> None:
    """A balancer that was ended says its pointers from the file, and serves as before after it."""
    BALANCER.set_traffic(NEW, {NEW.generation: 100})
    end_process(BALANCER.find_process(STACK), 10)
    assert BALANCER.find_process(STACK) is None
    assert BALANCER.find_weights(NEW) == {NEW.generation: 100}
    with pytest.raises(TrafficError, match="does not run"):
        BALANCER.set_traffic(OLD, {OLD.generation: 100})
    BALANCER.start(STACK, [route])
    assert ask(route.port) == (200, "new")


@pytest.mark.usefixtures("fleets")
def test_an_unknown_generation_gets_no_traffic(route: Route) -> None:
    """The pointer stays where it was, and the error names the generation."""
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    BALANCER.remove(NEW)
    with pytest.raises(TrafficError, match="generation bbbbbbbb"):
        BALANCER.set_traffic(NEW, {NEW.generation: 100})
    with pytest.raises(TrafficError, match="99, wanted 100"):
        BALANCER.set_traffic(OLD, {OLD.generation: 99})
    assert ask(route.port) == (200, "old")


def test_a_redirect_is_no_health(route: Route, fleets: tuple[int, int]) -> None:
    """Healthy is 200 to 299: for HAProxy, for our own question, and before traffic is moved."""
    machine = Machine("web-bbbbbbbb-0", "app/1", fleets[1], 80, 512, 1)
    assert ask_health(machine, "/").ok
    assert not ask_health(machine, "/moved").ok
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    BALANCER.register(NEW, "/moved", {machine.name: machine.http_port})

    def is_down() -> bool:
        return not BALANCER.find_members(NEW)[machine.name].up

    assert wait_until("a check", 20, is_down, every=0.1)
    with pytest.raises(TrafficError, match=r"no healthy server[\s\S]*web-bbbbbbbb-0: DOWN"):
        BALANCER.set_traffic(NEW, {NEW.generation: 100})
    assert ask(route.port) == (200, "old")


def test_draining_waits_for_the_last_request(route: Route, fleets: tuple[int, int]) -> None:
    """A request that is being answered is counted, by an earlier worker too, until it ends."""
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, route.port, "/slow")
        assert ask(fleets[0], "/wait") == (200, "old")  # Answered once the slow one is there.
        BALANCER.remove(NEW)  # A reload: the request stays with an earlier worker.
        BALANCER.register(NEW, "/", {"web-bbbbbbbb-0": fleets[1]})
        BALANCER.set_traffic(NEW, {NEW.generation: 100})
        BALANCER.drain(OLD, 0.5, said.append)
        assert "left" in said.pop()
        assert not slow.done()
        assert ask(fleets[0], "/release") == (200, "old")
        BALANCER.drain(OLD, 20, said.append)
        assert said == ["drained"]
        assert slow.result() == (200, "old")


@pytest.mark.usefixtures("fleets")
def test_an_idle_connection_follows_the_pointer(route: Route) -> None:
    """A connection that an earlier worker holds is answered by whoever has the traffic now."""
    BALANCER.set_traffic(OLD, {OLD.generation: 100})
    connection = HTTPConnection("127.0.0.1", route.port, timeout=20)
    with closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"old"
        BALANCER.register(Scope("demo", "dev", "web", "cccccccc"), "/", {})
        BALANCER.set_traffic(NEW, {NEW.generation: 100})
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert answer.read() == b"new"
        assert answer.getheader("Connection") == "close"


def test_a_port_of_somebody_else_is_an_error(route: Route) -> None:
    """The error names the port and the process; the routes that there were go on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TrafficError, match=rf"port {port} is in use[\s\S]*pid \d+ \("):
            BALANCER.start(STACK, [route, Route("api", port)])
    assert ask(route.port)[0] == 503
    BALANCER.register(OLD, "/", {"web-aaaaaaaa-0": port})


def test_members_are_what_the_group_holds(route: Route, fleets: tuple[int, int]) -> None:
    """A server that does not answer its check is down; a group that is gone holds nobody."""
    assert route
    members = {"web-aaaaaaaa-0": fleets[0], "web-aaaaaaaa-1": find_free_port()}
    BALANCER.register(OLD, "/", members)
    assert set(BALANCER.find_members(OLD)) == set(members)
    BALANCER.remove(OLD)
    assert BALANCER.find_members(OLD) == {}


def test_stopping_leaves_nothing(route: Route) -> None:
    """No process, no folder and no port is left; stopping again is no error."""
    process = BALANCER.find_process(STACK)
    assert process
    BALANCER.stop(STACK)
    BALANCER.stop(STACK)
    assert not find_process(process)
    assert not layout.stack_dir(STACK).parent.exists()
    with socket.create_server(("127.0.0.1", route.port)):
        pass
