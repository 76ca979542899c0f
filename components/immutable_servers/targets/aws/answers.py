"""Counts what a generation answered by CloudWatch's metrics, which are some minutes late.

A server that hangs or dies under a request sends no code, and the balancer's own 502 and 504 are
counted for all of its target groups together. So an error is what a target group was asked and did
not answer well: RequestCount without 2XX, 3XX and 4XX. TargetConnectionErrorCount misses time-outs.
A client that leaves before its answer (460) and a WebSocket (101) have no such code either.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
load-balancer-cloudwatch-metrics.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Answers
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.cloud.answers import MINUTE, Minutes

SETTLED = 240.0
"""Seconds after the start of a minute when all of its numbers are believed to have come."""
REQUESTS, FAILED = "requests", "failed"
METRICS: Mapping[str, str] = {
    REQUESTS: "RequestCount",
    "answered": "HTTPCode_Target_2XX_Count",
    "redirected": "HTTPCode_Target_3XX_Count",
    "refused": "HTTPCode_Target_4XX_Count",
    FAILED: "HTTPCode_Target_5XX_Count",
}


def count_answers(api: Api, group: str, balancer: str) -> dict[str, Answers]:
    """Return what a target group answered, by minute."""
    minutes = Minutes()
    of = {
        "TargetGroup": group.rpartition(":")[2],
        "LoadBalancer": balancer.rpartition(":loadbalancer/")[2],
    }
    dimensions = [{"Name": key, "Value": value} for key, value in of.items()]
    series = api.list(
        "cloudwatch",
        "get_metric_data",
        key="MetricDataResults",
        MetricDataQueries=[_ask(name, dimensions) for name in METRICS],
        StartTime=minutes.start,
        EndTime=minutes.end,
    )
    for one in series:
        for moment, value in zip(one["Timestamps"], one["Values"], strict=True):
            minutes.add(moment, one["Id"], int(value))
    return minutes.add_up(add_up)


def add_up(counted: Mapping[str, int], age: float) -> Answers:
    """Return a minute's answers, by its age in seconds.

    Its numbers come one by one. While some may be missing, a request without a code is no error
    yet, and there were as many requests as codes at least.
    """
    codes = sum(value for name, value in counted.items() if name != REQUESTS)
    requests = max(counted.get(REQUESTS, 0), codes)
    failed, silent = counted.get(FAILED, 0), requests - codes
    if age >= SETTLED:
        return Answers(requests, failed + silent)
    return Answers(requests, failed, unsettled=silent)


def _ask(name: str, dimensions: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    namespace = "AWS/ApplicationELB"
    metric = {"Namespace": namespace, "MetricName": METRICS[name], "Dimensions": dimensions}
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": MINUTE, "Stat": "Sum"}}
