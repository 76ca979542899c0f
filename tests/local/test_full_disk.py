"""A disk that gets full under real machines: what serves keeps its room, and nothing is lost."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.haproxy_world import ask
from harness.local_stack import LocalStack, World

SIZE = 8 * 2**30
"""Of the disk; it takes the memory of what is on it."""
FULL = 0
NEARLY = 100 * 2**20


@contextmanager
def start_disk(folder: Path) -> Iterator[None]:
    """Mount a small disk in a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def leave(stack: LocalStack, free: int) -> None:
    """Shrink the disk so that so many bytes are free."""
    folder = stack.world.folder / "data"
    size = shutil.disk_usage(folder).used + free
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def make_room(stack: LocalStack) -> None:
    """Give the disk its size again."""
    folder = stack.world.folder / "data"
    subprocess.run(["mount", "-o", f"remount,size={SIZE}", str(folder)], check=True)


@pytest.fixture
def stack(shared: LocalStack) -> Iterator[LocalStack]:
    """Yield a stack that serves, whose images and machines are on a disk of their own."""
    folder = Path(tempfile.mkdtemp(prefix="full-", dir="/tmp")).resolve()
    world = World(folder)
    (folder / "run").mkdir(mode=0o700)
    (folder / "data").mkdir()
    with start_disk(folder / "data"):
        for image, version in shared.ask_version()["images"].items():
            place = Path("images", image, version)
            shutil.copytree(shared.world.data / place, world.data / place)
        made = LocalStack.create(world, "full", 1)
        made.update()
        yield made
        make_room(made)
        assert made.destroy().code == 0
        assert world.find_left() == []
    shutil.rmtree(folder)


def test_a_disk_that_gets_full(stack: LocalStack) -> None:
    """In a launch the machines stand still, are told, and go on with the `up` that finds room.

    A bake is ended before it takes the room of the servers that run.
    """
    live = stack.live()
    stack.set_env(GREETING="on a full disk")
    with stack.start_up() as run:
        started = "generations/*/servers/*/process.json"  # QEMU has written its pid before
        run.wait_until(lambda: len(list(stack.folder.glob(started))) == 2)
        leave(stack, FULL)
        assert run.wait() != 0, run.text
    assert "What to do: Free some space" in run.text
    assert "Traceback" not in run.text
    asked = stack.run_driver("status", stack.stack)
    assert "stands still: no space was left for its disk" in asked.stdout, asked.stderr
    make_room(stack)
    machines = stack.find_machine_processes()
    done = stack.update()
    assert "resuming" in done.text
    assert stack.find_machine_processes() == machines
    new = stack.live()
    assert stack.states() == {live: "standby", new: "live"}
    asked = stack.run_driver("status", stack.stack)
    assert "stands still" not in asked.stdout

    stack.edit("app/server.py", "# does not fit")
    with stack.start_up() as run:
        run.wait_until(lambda: stack.world.find_processes("qemu-system", "/output/disk.qcow2"))
        leave(stack, NEARLY)
        assert run.wait() != 0, run.text
    assert "The bake was ended because the disk is nearly full" in run.text
    assert ask(stack.port) == (200, new)
    assert not stack.world.find_bakes()
    assert not stack.world.find_halves()
    stack.assert_nothing_left()
