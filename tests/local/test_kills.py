"""The rows of the failure matrix that matter most, with real processes that are killed."""

import os
import signal

from harness.engine.matrix import ON_MACHINES
from harness.local_stack import GONE_SECONDS, LocalStack, Run, wait_until


def test_matrix_on_machines(serving: LocalStack) -> None:
    """Whatever is killed while a candidate boots or is verified, the next `up` takes it up.

    Live answers all the time until its balancer is killed too; the checks of a killed run have
    ended; a server that lives is not made twice. The reverted source is run by the fixture.
    """
    live, before = serving.live(), read_pids(serving)
    serving.set_env(GREETING="killed")
    made: set[str] = set()
    *others, last = ON_MACHINES
    with serving.start_clients() as clients:
        for case in others:
            moment, _, what = case.fault.partition(": ")
            meet(serving, moment, what, before)
            assert serving.live() == live
            made = made or read_pids(serving) - before
            if what == "kill engine":
                assert read_pids(serving) - before == made
    assert {answer for client in clients for answer in client.answers} == {live}
    moment, _, what = last.fault.partition(": ")
    meet(serving, moment, what, before)
    serving.update()
    new = serving.live()
    assert new != live
    states = serving.states()
    assert (states[live], states[new]) == ("standby", "live")
    serving.assert_sealed(new)


def meet(stack: LocalStack, moment: str, what: str, before: set[str]) -> None:
    """Run an update, and kill something at a moment of it; the run must not work."""
    with stack.start_up() as run:
        if moment == "half launch":
            run.wait_until(lambda: read_pids(stack) - before)
        else:
            run.wait_until(lambda: find_checks(stack))
        kill(stack, what, run, read_pids(stack) - before)
        assert run.wait() != 0, run.text
    wait_until(lambda: not find_checks(stack), GONE_SECONDS)


def kill(stack: LocalStack, what: str, run: Run, made: set[str]) -> None:
    """Do `kill -9` to what a row names."""
    if what == "kill engine":
        run.kill_engine()
        return
    balancers = stack.find_balancer_processes() if what == "kill balancer" else []
    machines = [pid for pid in stack.find_machine_processes() if str(pid) in made]
    for pid in balancers or machines:
        os.kill(pid, signal.SIGKILL)


def read_pids(stack: LocalStack) -> set[str]:
    """Return the pids of the stack's machines, as their QEMUs wrote them when they had begun."""
    files = stack.folder.glob("generations/*/servers/*/pid")
    return {file.read_text().strip() for file in files} - {""}


def find_checks(stack: LocalStack) -> list[int]:
    """Return the processes that run checks."""
    return list(stack.world.find_processes("pytest", stack.stack))
