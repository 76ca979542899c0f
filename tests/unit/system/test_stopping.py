"""How a run is asked to stop: who waits or runs a command ends soon, who begins is refused."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutable_servers.driver.engine.stop_lock import (
    is_stopping,
    remove_left_locks,
    start_stop_lock,
)
from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping
from immutable_servers.system.supervised import run_supervised
from immutable_servers.system.waiting import wait_until

LISTENS = """
from immutable_servers.system import stopping
stopping.listen()
print("listens", flush=True)
stopping.STOP.wait(60)
print("stopped" if stopping.STOP.is_set() else "forgotten", flush=True)
"""

RUNS = """
import time
from immutable_servers.driver.engine.stop_lock import start_stop_lock
with start_stop_lock() as lock:
    print(lock.path, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _goes_on_afterwards() -> Iterator[None]:
    """Take the word back, which a process keeps otherwise."""
    yield
    stopping.STOP.clear()


def test_every_listener_hears_the_driver() -> None:
    """Letting the lock go once wakes all processes that wait for it."""
    with start_stop_lock() as lock:
        listeners = [start_listener(lock.path) for _ in range(2)]
        assert not is_stopping(lock.path)
        lock.release()
        assert is_stopping(lock.path)
        said = [read_rest(listener) for listener in listeners]
        assert said == ["stopped\n"] * 2


def test_every_listener_hears_of_a_killed_driver(tmp_path: Path) -> None:
    """Its end lets the lock go; who begins to listen afterwards is asked to stop, too."""
    with start_run(tmp_path) as (run, lock):
        listener = start_listener(lock)
        run.kill()
        run.wait()
        assert read_rest(listener) == "stopped\n"
        assert is_stopping(lock)
        assert read_rest(start_listener(lock)) == "stopped\n"
    lock.unlink()
    assert is_stopping(lock)
    assert read_rest(start_listener(lock)) == "stopped\n"


def start_listener(lock: Path) -> "subprocess.Popen[str]":
    """Start a process that listens to the lock of a run."""
    listener = subprocess.Popen(
        [sys.executable, "-c", LISTENS],
        env={**os.environ, stopping.VARIABLE: str(lock)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listener.stdout
    assert listener.stdout.readline() == "listens\n"
    return listener


def read_rest(listener: "subprocess.Popen[str]") -> str:
    """Wait for a listener's end; return what else it said."""
    with listener:
        assert listener.stdout
        return listener.stdout.read()


@contextmanager
def start_run(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Yield a process that holds the lock of a run, and the lock; `folder` has temporary files."""
    with subprocess.Popen(
        [sys.executable, "-c", RUNS],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        try:
            yield run, Path(run.stdout.readline().strip())
        finally:
            run.kill()


def test_what_a_killed_run_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a run that lives stays, and so does what is being made, or is nobody's run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "immutable-run-made").mkdir()
    (tmp_path / "immutable-else").mkdir()
    with start_run(tmp_path) as (_, lock):
        remove_left_locks()
        assert lock.exists()
    with start_stop_lock() as other:
        assert not lock.parent.exists()
        remove_left_locks()
        assert other.path.exists()
    left = {folder.name for folder in tmp_path.iterdir()}
    assert left == {"immutable-run-made", "immutable-else"}


def test_a_wait_ends_at_once() -> None:
    """A wait of minutes raises what was waited for; one that begins afterwards does not begin."""

    def stop_after(event: threading.Event) -> None:
        event.wait(60)
        stopping.stop()

    def wait() -> None:
        wait_until("waiting for web-0", 600, started.set, every=600)

    started = threading.Event()
    threading.Thread(target=stop_after, args=(started,)).start()
    for _ in range(2):
        with pytest.raises(StoppedError, match="Waiting for web-0 was ended"):
            wait()


def test_a_command_is_ended_with_time_to_clean_up(tmp_path: Path) -> None:
    """Packer, for one, cleans up on SIGINT; a command that would begin afterwards is refused."""
    script = "trap 'echo cleaned; exit 0' INT; echo ready; while :; do sleep 0.1; done"
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        if line == "ready":
            stopping.stop()

    def run() -> None:
        run_supervised(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=os.environ,
            deadline=60,
            on_line=take,
            log=tmp_path / "log",
            what="the bake",
        )

    with pytest.raises(StoppedError, match="The bake was ended"):
        run()
    assert "cleaned" in (tmp_path / "log").read_text()
    (tmp_path / "log").unlink()
    with pytest.raises(StoppedError):
        run()
    assert not (tmp_path / "log").exists()


def test_a_callback_is_called_only_while_it_is_asked_for() -> None:
    """What has ended by itself is left alone."""
    called: list[str] = []
    with stopping.on_stop(lambda: called.append("over"), "this"):
        pass
    with stopping.on_stop(lambda: called.append("under way"), "that"):
        stopping.stop()
    assert called == ["under way"]
    with (
        pytest.raises(StoppedError, match="This was ended"),
        stopping.on_stop(called.clear, "this"),
    ):
        pytest.fail("it began")
