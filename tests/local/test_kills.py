"""The engine is killed while a candidate boots, and while it is verified."""

from local_stack import GONE_SECONDS, LocalStack, wait_until


def test_a_killed_launch_and_a_killed_verification_are_taken_up(serving: LocalStack) -> None:
    """The next `up` adopts the server that boots, verifies it, and moves the traffic to it.

    Live answers all the time; the checks of the killed run have ended, and nothing is made twice.
    """
    live = serving.live()
    with serving.start_clients() as clients:
        serving.set_env(GREETING="killed")
        with serving.start_up() as run:
            wait_until(lambda: find_new(serving, live))
            run.kill_engine()
        (machine,) = find_new(serving, live)
        with serving.start_up() as run:
            wait_until(lambda: find_checks(serving) or run.process.poll() is not None)
            assert find_checks(serving), run.text
            run.kill_engine()
        wait_until(lambda: not find_checks(serving), GONE_SECONDS)
        assert serving.live() == live
        serving.update()
    assert find_new(serving, live) == [machine]
    new = serving.live()
    assert serving.states() == {live: "standby", new: "live"}
    serving.assert_sealed(new)
    assert {answer for client in clients for answer in client.answers} <= {live, new}


def find_new(stack: LocalStack, live: str) -> list[int]:
    """Return the machines of the stack that are not the live generation's."""
    return sorted(set(stack.find_machine_processes()) - set(stack.find_machine_processes(live)))


def find_checks(stack: LocalStack) -> list[int]:
    """Return the processes that run checks."""
    return list(stack.world.find_processes("pytest", stack.stack))
