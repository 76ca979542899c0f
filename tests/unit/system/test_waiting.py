"""Waits: what they return at the deadline, and that a stop ends them."""

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import immutable_servers
from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping
from immutable_servers.system.waiting import run_until_stopped, wait_until

MAY_RETRY = {"system/waiting.py", "verification/bodies.py"}


@pytest.fixture(autouse=True)
def _goes_on_afterwards() -> Iterator[None]:
    """Forget that this process was asked to stop."""
    yield
    stopping.STOP.clear()


def test_it_returns_what_was_waited_for() -> None:
    """It looks again until what comes is accepted: by default anything that is true."""
    found = iter(["", "", "there", "later"])
    assert wait_until("a wait", 60, lambda: next(found), every=0.001) == "there"
    left = iter([2, 1, 0, 5])
    assert wait_until("a wait", 60, lambda: next(left), done=lambda n: n < 1, every=0.001) == 0


def test_at_the_deadline_it_returns_what_came_last() -> None:
    """Whoever waits words the error; with no time there is one look."""
    looks = iter(range(10))
    refused = wait_until("a wait", 0, lambda: next(looks), done=lambda _found: False, every=600)
    assert refused == 0
    assert next(looks) == 1
    assert wait_until("a wait", -1, lambda: "late", done=lambda _found: False, every=600) == "late"


def test_an_error_ends_it() -> None:
    """Only what is returned is asked for again."""

    def look() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_until("a wait", 600, look, every=600)


def test_a_stop_ends_it_during_its_pause() -> None:
    """The pause is over at once, and nothing is looked for again."""
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        stopper.start()

    stopper = threading.Timer(0.1, stopping.stop)
    with pytest.raises(StoppedError, match="Waiting for web-0 was ended"):
        wait_until("waiting for web-0", 1200, look, every=600)
    stopper.join()
    assert looks == [1]


def test_what_is_there_is_returned_also_when_stopped() -> None:
    """A free lock is taken by who cleans up."""
    stopping.stop()
    assert wait_until("a wait", 600, lambda: "there", every=600) == "there"


def test_what_has_to_end_does_not_hear_of_a_stop() -> None:
    """A drain goes on until nobody is left, or its own time is over."""
    stopping.stop()
    left = iter([2, 1, 0])
    found = wait_until(
        "draining", 60, lambda: next(left), done=lambda n: n == 0, every=0.001, stoppable=False
    )
    assert found == 0


def test_a_stop_leaves_alone_what_cannot_be_cut_short() -> None:
    """A call that hangs, or that a library repeats, holds up neither a stop nor the process."""
    hangs = threading.Event()

    def work() -> None:
        stopper.start()
        hangs.wait()

    stopper = threading.Timer(0.1, stopping.stop)
    with pytest.raises(StoppedError, match="A call was ended"):
        run_until_stopped("a call", work)
    hangs.set()


def test_what_ends_within_the_grace_is_returned() -> None:
    """An answer that comes just after the stop is no lost one, and its error is the error."""

    def answer() -> str:
        stopping.stop()
        return "there"

    def refuse() -> None:
        stopping.stop()
        raise ZeroDivisionError

    assert run_until_stopped("a call", answer) == "there"
    stopping.STOP.clear()
    with pytest.raises(ZeroDivisionError):
        run_until_stopped("a call", refuse)


def test_what_cleans_up_after_a_stop_is_done_to_its_end() -> None:
    """It is begun because of the stop, so that does not end it."""
    stopping.stop()
    assert run_until_stopped("a call", lambda: "removed") == "removed"


def test_nothing_else_waits_by_itself() -> None:
    """A loop of another module's own would not hear of a stop."""
    package = Path(immutable_servers.__file__).parent
    found = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if any(_waits(node) for node in ast.walk(ast.parse(file.read_text())))
    }
    assert found == MAY_RETRY


def _waits(node: ast.AST) -> bool:
    """Return whether a piece of code imports tenacity, or sleeps."""
    if isinstance(node, ast.Import):
        return any(name.name.partition(".")[0] == "tenacity" for name in node.names)
    if isinstance(node, ast.ImportFrom):
        sleeps = node.module == "time" and any(name.name == "sleep" for name in node.names)
        return sleeps or (node.module or "").partition(".")[0] == "tenacity"
    if isinstance(node, ast.Attribute):  # `get_waiter` makes one of boto3's
        return node.attr == "get_waiter" or ast.unparse(node) in ("time.sleep", "asyncio.sleep")
    return False
