"""A canary on real machines, judged by the counters of the real HAProxy."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.haproxy_world import Client
from harness.local_stack import LocalStack

PATH = "/work"
"""What users ask for, and no check does."""
CANARY = {
    "weight": 20,
    "watch": "20s",
    "watch_after": "5s",
    "max_error_rate": 0.1,
    "min_requests": 20,
}


def test_users_find_what_the_checks_did_not(serving: LocalStack) -> None:
    """A candidate that fails on what users ask for goes back by itself; a good one gets all.

    Both passed their checks, and prepared something as root before their traffic.
    """
    old = serving.live()
    with start_client(serving) as client:
        try_canary(serving, FAULTY=PATH)
        done = serving.up()
        done.assert_failed("TrafficError", "as a canary of 20 %", "answers were errors")
        (bad,) = (one for one, state in serving.states().items() if state == "candidate")
        assert serving.states()[old] == "live"
        assert 0 < client.answers["500"] < client.answers[old]
        assert serving.ledger()["generations"][bad]["verified"]["before_traffic"]
        client.answers.clear()
        try_canary(serving, GREETING="good")
        serving.update()
        new = serving.live()
        client.wait_for(new, 50)
    assert set(client.answers) == {old, new}
    assert serving.states().items() >= {old: "standby", bad: "retired", new: "live"}.items()


def try_canary(stack: LocalStack, **env: str) -> None:
    """Have the next generation tried first."""
    stack.services["web"]["canary"] = CANARY
    stack.services["web"]["before_traffic"] = ["id -un >/run/who", "grep -x root /run/who"]
    stack.set_env(**env)


@contextmanager
def start_client(stack: LocalStack) -> Iterator[Client]:
    """Yield a user who asks all the time."""
    client = Client(stack.port, 50, keep_alive=True, path=PATH)
    client.start()
    try:
        yield client
    finally:
        client.stop()
