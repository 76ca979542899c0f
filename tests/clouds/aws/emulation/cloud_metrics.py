"""CloudWatch's numbers of load balancers, each of which comes in its own time."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from moto.cloudwatch.models import cloudwatch_backends

from clouds.aws.emulation.cloud_manners import AwsManners

NAMESPACE = "AWS/ApplicationELB"
MINUTE = 60
Number = tuple[str, str, str, int]
"""A balancer's ARN, a target group's or none, a metric, and the minute."""


class Metrics:
    """What was counted and has not come yet.

    The real ones add up a minute before they report it; here a part of it comes too.
    """

    def __init__(self, find_manners: Callable[[], AwsManners], now: Callable[[], float]) -> None:
        self.find_manners, self.now = find_manners, now
        self.counted: dict[Number, int] = {}
        self.since: dict[Number, float] = {}
        self.counting = threading.Lock()

    def count(self, balancer: str, group: str, metrics: Sequence[str]) -> None:
        """Count once for a target group, or without one for the balancer."""
        now = self.now()
        for metric in metrics:
            number = (balancer, group, metric, int(now) // MINUTE * MINUTE)
            with self.counting:
                self.counted[number] = self.counted.get(number, 0) + 1
                self.since.setdefault(number, now)

    def publish(self) -> None:
        """Hand over to CloudWatch's API what has come by now."""
        manners, now = self.find_manners(), self.now()
        with self.counting:
            come = [
                number
                for number, since in self.since.items()
                if now - since >= manners.late * manners.draw("late", *number)
            ]
            taken = {number: self.counted.pop(number) for number in come}
            for number in come:
                del self.since[number]
        for (balancer, group, metric, minute), value in taken.items():
            names = {"TargetGroup": group.rpartition(":")[2]} if group else {}
            names["LoadBalancer"] = balancer.rpartition(":loadbalancer/")[2]
            data = {
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": text} for name, text in names.items()],
                "Value": value,
                "Timestamp": datetime.fromtimestamp(minute, UTC).replace(tzinfo=None),
            }
            _, _, _, region, account, _ = balancer.split(":", 5)
            cloudwatch_backends[account][region].put_metric_data(NAMESPACE, [data])
