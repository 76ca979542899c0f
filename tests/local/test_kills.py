"""The engine is killed while a candidate boots, and while it is verified."""

from local_stack import GONE_SECONDS, LocalStack, wait_until


def test_a_killed_launch_and_a_killed_verification_are_taken_up(serving: LocalStack) -> None:
    """The next `up` adopts the server that boots, verifies it, and moves the traffic to it.

    Live answers all the time; the checks of the killed run have ended, and nothing is made twice.
    """
    live, before = serving.live(), read_pids(serving)

    def find_new() -> set[str]:
        return read_pids(serving) - before

    with serving.start_clients() as clients:
        serving.set_env(GREETING="killed")
        with serving.start_up() as run:
            wait_until(find_new)
            run.kill_engine()
        made = find_new()
        with serving.start_up() as run:
            wait_until(lambda: find_checks(serving) or run.process.poll() is not None)
            assert find_checks(serving), run.text
            run.kill_engine()
        wait_until(lambda: not find_checks(serving), GONE_SECONDS)
        assert serving.live() == live
        serving.update()
    new = serving.live()
    assert find_new() == made == set(map(str, serving.find_machine_processes(new)))
    states = serving.states()
    assert (states[live], states[new]) == ("standby", "live")
    serving.assert_sealed(new)
    assert {answer for client in clients for answer in client.answers} <= {live, new}


def read_pids(stack: LocalStack) -> set[str]:
    """Return the pids of the stack's machines, as their QEMUs wrote them when they had begun."""
    files = stack.folder.glob("generations/*/servers/*/pid")
    return {file.read_text().strip() for file in files} - {""}


def find_checks(stack: LocalStack) -> list[int]:
    """Return the processes that run checks."""
    return list(stack.world.find_processes("pytest", stack.stack))
