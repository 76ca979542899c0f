"""File locks: one holder at a time, also when the holder removes the file."""

import fcntl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable_servers.errors import BusyError, StoppedError
from immutable_servers.system import stopping
from immutable_servers.system.file_locks import hold_lock, is_unheld, remove_unheld, try_lock


@pytest.fixture(autouse=True)
def _goes_on_afterwards() -> Iterator[None]:
    """Forget that this process was asked to stop."""
    yield
    stopping.STOP.clear()


def test_a_held_lock_is_an_error_after_the_wait(tmp_path: Path) -> None:
    """Whoever waits hears of it once; the error names what is changed, and the file."""
    file, said = tmp_path / "folder/lock", ["waits"]
    with (
        hold_lock(file, 0, "the fleet"),
        pytest.raises(BusyError, match="Another run is changing the fleet") as caught,
        hold_lock(file, 0.01, "the fleet", on_wait=said.pop),
    ):
        pytest.fail("it was held twice")
    assert str(file) in caught.value.facts[0]
    assert said == []
    with hold_lock(file, 0, "the fleet"):
        pass


def test_a_removed_lock_is_made_again(tmp_path: Path) -> None:
    """Who waited for a file that its holder removed holds the one that others find."""
    file, waits, held, over = tmp_path / "lock", *(threading.Event() for _ in range(3))

    def wait() -> None:
        with hold_lock(file, 60, "it", on_wait=waits.set):
            held.set()
            over.wait(60)

    second = threading.Thread(target=wait)
    with hold_lock(file, 0, "it"):
        second.start()
        assert waits.wait(60)
        file.unlink()
    assert held.wait(60)
    with try_lock(file) as ours:
        assert not ours
    over.set()
    second.join(60)
    assert is_unheld(file)


def test_a_lock_that_is_not_there_is_not_made_by_a_look(tmp_path: Path) -> None:
    """Only who holds it makes the file; only what nobody holds is removed."""
    file = tmp_path / "lock"
    assert not is_unheld(file)
    assert not remove_unheld(file)
    assert not file.exists()
    with hold_lock(file, 0, "it"):
        assert not remove_unheld(file)
    assert remove_unheld(file)
    assert not file.exists()


def test_who_looks_or_waits_is_no_holder(tmp_path: Path) -> None:
    """Processes that wait for a run's lock get it for a moment each, all of them at once."""
    file = tmp_path / "lock"
    with hold_lock(file, 0, "it"):
        assert not is_unheld(file)
    with file.open() as waiting:
        fcntl.flock(waiting, fcntl.LOCK_SH)
        assert is_unheld(file)


def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    """Nobody waits on for another run after a Ctrl-C."""
    file = tmp_path / "lock"
    with (
        hold_lock(file, 0, "it"),
        pytest.raises(StoppedError, match="Waiting for the fleet was ended"),
        hold_lock(file, 600, "the fleet", on_wait=stopping.stop),
    ):
        pytest.fail("it was held twice")
