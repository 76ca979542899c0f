"""Ports of routes: who has one is told before anything is made; with the real HAProxy."""

import multiprocessing
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest

from harness.haproxy_world import find_free_port
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.errors import ImmutableError, SettingsError, TrafficError
from immutable_servers.system.processes import end_process
from immutable_servers.targets.local import LocalTarget, layout, route_ports
from immutable_servers.targets.local.ports import find_first_free_for_all

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")

DEV, PROD = Scope("demo", "dev"), Scope("demo", "prod")
TARGET = LocalTarget({})
BALANCER = TARGET.balancer
NOBODY = 65534
PRIVILEGED = 80


@pytest.fixture
def route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """The route of the stack dev, whose balancer runs; ended afterwards."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:  # A socket's path must be.
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        route = Route("web", find_free_port())
        owner = Owner("file:///x", "0123", "organization", "demo", "dev", "/home/anna/shop")
        TARGET.ownership.begin_update(owner, ())
        BALANCER.start(DEV, [route])
        yield route
        BALANCER.stop(DEV)


def test_a_stack_keeps_its_own_port(route: Route) -> None:
    """What its balancer listens on is no stranger's."""
    BALANCER.refuse_routes(DEV, [route, Route("api", find_free_port())])


def test_another_stacks_port_is_refused_by_its_name(route: Route) -> None:
    """With its checkout and both ways out; also while its balancer does not run."""
    for _ in range(2):
        with pytest.raises(SettingsError, match="taken by the stack dev of demo") as refused:
            BALANCER.refuse_routes(PROD, [route])
        assert "dev was last updated from /home/anna/shop" in refused.value.facts
        assert "Pulumi.prod.yaml" in refused.value.todo
        assert "./immutable destroy dev" in refused.value.todo
        assert "End that process" not in refused.value.todo
        end_process(BALANCER.find_process(DEV), 10)
    with pytest.raises(SettingsError, match="taken by the stack dev"):
        BALANCER.start(PROD, [route])
    BALANCER.stop(DEV)
    BALANCER.refuse_routes(PROD, [route])


def test_the_shared_port_is_another_stacks_too(route: Route) -> None:
    """A route by host name takes the port that the settings name for those."""
    other = LocalTarget({"shared_port": route.port}).balancer
    with pytest.raises(SettingsError, match=f"The port {route.port} is taken by the stack dev"):
        other.refuse_routes(PROD, [Route("web", 0, "shop.example.com")])


def test_a_foreign_process_is_told_as_what_it_is(route: Route) -> None:
    """It may be ended; a stack that cannot be read has no port."""
    (folder := layout.balancer_dir(Scope("demo", "broken"))).mkdir(parents=True)
    (folder / route_ports.PARTS).write_text("{}")
    with create_server(("127.0.0.1", 0)) as server:
        taken = Route("api", server.getsockname()[1])
        with pytest.raises(TrafficError, match="in use by somebody else") as refused:
            BALANCER.refuse_routes(DEV, [route, taken])
    assert f"pid {os.getpid()} " in refused.value.facts[0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
@pytest.mark.skipif(find_first_free_for_all() <= PRIVILEGED, reason="everybody may listen on 80")
def test_a_port_that_needs_a_privilege_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as somebody else's: an ordinary user may not listen there. Root may."""
    monkeypatch.setenv("XDG_DATA_HOME", "/nowhere")
    error = refuse_as(NOBODY, PRIVILEGED)
    assert isinstance(error, SettingsError)
    assert error.what == "The port 80 needs a privilege that this user does not have"
    assert error.facts[0] == "net.ipv4.ip_unprivileged_port_start is 1024"
    assert "sysctl net.ipv4.ip_unprivileged_port_start=80" in error.todo
    assert refuse_as(NOBODY, find_free_port()) is None
    assert refuse_as(0, find_free_port()) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a file a capability")
@pytest.mark.parametrize(
    ("words", "refused"), [((1 << 10, 1), False), ((1 << 10, 0), True), ((1 << 12, 1), True)]
)
def test_an_haproxy_with_the_capability_may_listen_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[int, int], *, refused: bool
) -> None:
    """As `setcap cap_net_bind_service=+ep` gives it; permitted alone is not enough."""
    program = tmp_path / "haproxy"
    program.write_text("")
    program.chmod(0o755)
    permitted, effective = words
    value = struct.pack("<5I", 0x02000000 | effective, permitted, 0, 0, 0)
    os.setxattr(program, "security.capability", value)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert route_ports._can_bind_any() is not refused


def refuse_as(user: int, port: int) -> ImmutableError | None:
    """Return the error that another user gets for a port; None when there is none."""

    def refuse() -> ImmutableError | None:
        os.setuid(user)
        try:
            route_ports.refuse_taken([port], Path("/nowhere/demo/prod/balancer"))
        except ImmutableError as error:
            return error
        return None

    # A fork: the other user may not be able to read this Python.
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(refuse()))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    found: ImmutableError | None = answers.get()
    return found
