"""How a run is asked to stop: who waits or runs a command ends soon, who begins is refused."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable_servers.driver.engine.stop_fifo import remove_left_fifos, start_fifo
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
from immutable_servers.driver.engine.stop_fifo import start_fifo
with start_fifo() as fifo:
    print(fifo, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _goes_on_afterwards() -> Iterator[None]:
    """Take the word back, which a process keeps otherwise."""
    yield
    stopping.STOP.clear()


def test_every_listener_hears_the_driver() -> None:
    """Opening the FIFO once wakes all processes that wait, and writes nothing."""
    with start_fifo() as fifo:
        listeners = [
            subprocess.Popen(
                [sys.executable, "-c", LISTENS],
                env={**os.environ, stopping.VARIABLE: str(fifo)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        for listener in listeners:
            assert listener.stdout
            assert listener.stdout.readline() == "listens\n"
        with fifo.open("w"):
            assert [listener.communicate(timeout=60)[0] for listener in listeners] == (
                ["stopped\n"] * 2
            )


def test_what_a_killed_run_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The FIFO of a run that lives stays, and so does what is being made, or is nobody's run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "immutable-run-made").mkdir()
    (tmp_path / "immutable-else").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", RUNS],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        fifo = Path(run.stdout.readline().strip())
        remove_left_fifos()
        assert fifo.is_fifo()
        run.kill()
    with start_fifo() as other:
        assert not fifo.parent.exists()
        assert other.is_fifo()
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
