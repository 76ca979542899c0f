"""What a canary is judged by: the counters of the real HAProxy, without machines."""

import pytest

from harness.haproxy_world import ask, start_server
from immutable_servers.contract.values import Answers, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.local import LocalTarget
from immutable_servers.targets.place import Place
from immutable_servers.traffic.canary import Canary, Watch, judge

BALANCER = LocalTarget({}).balancer
WEB, OTHER = (Scope("demo", "dev", "web", f"{number:08x}") for number in (1, 2))
SICK = 1
"""A port where nobody listens: HAProxy answers 503 for it."""


def test_a_watch_counts_on_over_a_reload_and_knows_no_numbers_from_no_answers(
    balancer_port: int,
) -> None:
    """Counters that begin anew count from zero; a balancer that is gone has no numbers."""
    with start_server("web") as port:
        BALANCER.register(WEB, "/", {"web-0": port})
        BALANCER.set_traffic(WEB, {WEB.generation: 100})
        assert ask(balancer_port)[0] == 200
        watch = Watch(Place("local", {}, WEB))
        assert watch.look() == Answers(0, 0)
        for _ in range(3):
            ask(balancer_port)
        assert watch.look() == Answers(3, 0)
        BALANCER.register(OTHER, "/", {"other-0": port})
        for _ in range(4):
            ask(balancer_port)
        assert watch.look() == Answers(7, 0)
        BALANCER.register(WEB, "/", {"web-0": SICK})
        assert ask(balancer_port)[0] == 503
        assert watch.look() == Answers(8, 1)
        BALANCER.stop(WEB)
        with pytest.raises(TrafficError, match="no numbers"):
            watch.look()


@pytest.mark.parametrize(
    ("requests", "errors", "fault"),
    [
        (200, 2, ""),
        (200, 3, "3 of 200 answers were errors, at most 1.0 % may be"),
        (199, 0, "only 199 requests came, 200 were wanted"),
    ],
)
def test_the_limits_are_the_most_that_may_be(requests: int, errors: int, fault: str) -> None:
    """A share of exactly the limit is good; one request too few decides nothing."""
    assert judge(Answers(requests, errors), Canary(10, 1, 0.01, 200)) == fault
