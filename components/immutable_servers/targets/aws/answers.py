"""Counts what a generation answered by CloudWatch's metrics, which are some minutes late."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from immutable_servers.contract.values import Answers
from immutable_servers.targets.aws.api import Api

HOUR = 3600
HOURS = 3
METRICS: Mapping[str, str] = {
    "requests": "RequestCount",
    "errors": "HTTPCode_Target_5XX_Count",
    "broken": "TargetConnectionErrorCount",
}
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
load-balancer-cloudwatch-metrics.html"""


def count_answers(api: Api, group: str, balancer: str) -> dict[str, Answers]:
    """Return what a target group answered, by hour: each hour is a counter of its own."""
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    of = {
        "TargetGroup": group.rpartition(":")[2],
        "LoadBalancer": balancer.rpartition(":loadbalancer/")[2],
    }
    dimensions = [{"Name": key, "Value": value} for key, value in of.items()]
    answer = api.call(
        "cloudwatch",
        "get_metric_data",
        MetricDataQueries=[_ask(name, dimensions) for name in METRICS],
        StartTime=start,
        EndTime=now + timedelta(minutes=1),
    )
    counted: dict[str, dict[str, int]] = {}
    for series in answer["MetricDataResults"]:
        for moment, value in zip(series["Timestamps"], series["Values"], strict=True):
            hour = moment.astimezone(UTC).strftime("%Y-%m-%dT%H")
            counted.setdefault(hour, {})[series["Id"]] = int(value)
    hours = [f"{start + timedelta(hours=step):%Y-%m-%dT%H}" for step in range(HOURS)]
    return {hour: _add_up(counted.get(hour, {})) for hour in hours}


def _add_up(counted: Mapping[str, int]) -> Answers:
    """Count a request that no server took as an error too."""
    errors = counted.get("errors", 0) + counted.get("broken", 0)
    return Answers(requests=counted.get("requests", 0), errors=errors)


def _ask(name: str, dimensions: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    namespace = "AWS/ApplicationELB"
    metric = {"Namespace": namespace, "MetricName": METRICS[name], "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": HOUR, "Stat": "Sum"}}
