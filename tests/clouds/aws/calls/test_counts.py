"""What CloudWatch's numbers of a generation say, when some of them have not come yet."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from harness.aws.aws_world import World, make_target, start_emulation
from harness.cloud_world import WEB
from immutable_servers.contract.values import Answers
from immutable_servers.targets.aws.answers import METRICS, SETTLED, add_up


@pytest.mark.parametrize(
    ("counted", "young", "old"),
    [
        ({"requests": 9, "answered": 9}, Answers(9, 0), Answers(9, 0)),
        (
            {"requests": 9, "answered": 5, "redirected": 2, "refused": 2},
            Answers(9, 0),
            Answers(9, 0),
        ),
        ({"requests": 9, "answered": 6, "failed": 3}, Answers(9, 3), Answers(9, 3)),
        ({"requests": 9}, Answers(9, 0, 9), Answers(9, 9)),  # they hang, or their codes are late
        ({"requests": 9, "answered": 6, "failed": 1}, Answers(9, 1, 2), Answers(9, 3)),
        ({"answered": 6, "failed": 1}, Answers(7, 1), Answers(7, 1)),  # the requests are late
        ({}, Answers(0, 0), Answers(0, 0)),
    ],
)
def test_a_request_without_a_code_is_an_error_once_all_numbers_have_come(
    counted: Mapping[str, int], young: Answers, old: Answers
) -> None:
    """Before, it is unsettled; and there never are fewer requests than codes."""
    assert add_up(counted, SETTLED - 1) == young
    assert add_up(counted, SETTLED) == old


def test_what_servers_never_answered_is_counted_by_minute() -> None:
    """CloudWatch's numbers of an old minute are whole, those of this one may not be."""
    with start_emulation():
        world = World()
        world.make_balancer()
        scope = replace(WEB, generation="11111111")
        group = world.make_fleet(scope)
        now = time.time()
        for at in (now, now - 2 * SETTLED):
            count(world, group, at, requests=10, answered=6, failed=1)
        found = make_target().balancer.find_answers(scope).values()
        assert sum(one.requests for one in found) == 20
        assert sum(one.errors for one in found) == 1 + 4
        assert sum(one.unsettled for one in found) == 3


def count(world: World, group: str, at: float, **numbers: int) -> None:
    """Have CloudWatch know numbers of a target group."""
    names = {
        "TargetGroup": group.rpartition(":")[2],
        "LoadBalancer": world.balancer.rpartition(":loadbalancer/")[2],
    }
    data = [
        {
            "MetricName": METRICS[name],
            "Dimensions": [{"Name": key, "Value": value} for key, value in names.items()],
            "Value": value,
            "Timestamp": datetime.fromtimestamp(at, UTC),
        }
        for name, value in numbers.items()
    ]
    world.client("cloudwatch").put_metric_data(Namespace="AWS/ApplicationELB", MetricData=data)
