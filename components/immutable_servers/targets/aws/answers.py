"""What a generation answered, as CloudWatch counts it for the load balancer, minutes late."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from immutable_servers.contract.values import Answers, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws import balancer
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


def find_answers(api: Api, scope: Scope) -> dict[str, Answers]:
    """Return what a generation answered, by hour: each hour is a counter of its own."""
    group, found = balancer.find_group(api, scope), balancer.find_balancer(api, scope)
    if group is None or found is None:
        return {}
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    dimensions = {
        "TargetGroup": group["TargetGroupArn"].rpartition(":")[2],
        "LoadBalancer": found["LoadBalancerArn"].rpartition(":loadbalancer/")[2],
    }
    answer = api.call(
        "cloudwatch",
        "get_metric_data",
        kind=TrafficError,
        MetricDataQueries=[_ask(name, dimensions) for name in METRICS],
        StartTime=start,
        EndTime=now + timedelta(minutes=1),
    )
    counted: dict[str, dict[str, int]] = {}
    for series in answer["MetricDataResults"]:
        for moment, value in zip(series["Timestamps"], series["Values"], strict=True):
            hour = moment.astimezone(UTC).strftime("%Y-%m-%dT%H")
            counted.setdefault(hour, {})[series["Id"]] = int(value)
    hours = [start + timedelta(hours=step) for step in range(HOURS)]
    return {
        key: _add_up(counted.get(key, {}))
        for key in (hour.strftime("%Y-%m-%dT%H") for hour in hours)
    }


def _add_up(counted: Mapping[str, int]) -> Answers:
    """Count a request that no server took as an error too."""
    errors = counted.get("errors", 0) + counted.get("broken", 0)
    return Answers(requests=counted.get("requests", 0), errors=errors)


def _ask(name: str, dimensions: Mapping[str, str]) -> dict[str, Any]:
    metric = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": METRICS[name],
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": HOUR, "Stat": "Sum"}}
