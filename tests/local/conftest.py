"""One world of machines for a session: the base is baked once, and nothing is left at the end."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.haproxy_world import find_free_port
from harness.local_stack import LocalStack, World
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets.local import LocalTarget

BALANCER = LocalTarget({}).balancer
HOME = "IMMUTABLE_TEST_WORLD"
"""A developer's own folder for the world: its images are kept, and found by the next session."""

NewStack = Callable[[str, int], LocalStack]


@pytest.fixture
def balancer_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Yield the port of a balancer of the stack demo/dev, whose service web has no generations."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is missing")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    stack, route = Scope("demo", "dev"), Route("web", find_free_port())
    with tempfile.TemporaryDirectory(prefix="sockets-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        BALANCER.start(stack, [route])
        yield route.port
        BALANCER.stop(stack)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Yield the session's world; nothing of it may run, listen or wait for its owner at the end."""
    kept = os.environ.get(HOME)
    folder = Path(kept or tempfile.mkdtemp(prefix="ring-", dir="/tmp"))
    (folder / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    world = World(folder.resolve())
    try:
        yield world
        assert world.find_left() == []
    finally:
        for pid in world.find_processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not kept:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_stack(world: World) -> Iterator[NewStack]:
    """Return a function that makes a stack with so many servers; it is destroyed at the end."""
    made: list[LocalStack] = []

    def make(name: str, servers: int) -> LocalStack:
        shutil.rmtree(world.folder / name, ignore_errors=True)
        made.append(LocalStack.create(world, name, servers))
        return made[-1]

    yield make
    left = [stack for stack in made if stack.folder.exists()]
    for stack in left:  # An interrupted session may have left the engine's lock.
        stack.pulumi("cancel", "--yes", "-s", stack.stack, check=False)
    assert [done.text for stack in left if (done := stack.destroy()).code] == []


@pytest.fixture(scope="session")
def shared(new_stack: NewStack) -> LocalStack:
    """Return a stack with one server that serves; only `serving` hands it out."""
    stack = new_stack("shared", 1)
    stack.update()
    return stack


@pytest.fixture
def serving(shared: LocalStack) -> Iterator[LocalStack]:
    """Yield a stack with one server that serves, and assert that it still does.

    Whatever a test did to it, with the sample's sources an `up` works, and the generation that
    served before serves.
    """
    live = shared.live()
    yield shared
    shared.put_all_back()
    done = shared.up()
    assert done.code == 0, done.text
    assert shared.live() == live, done.text
    assert not shared.world.find_halves()
