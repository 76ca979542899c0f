"""Counts what a generation answered by Cloud Monitoring's metrics, which are some minutes late.

A request has the class of its answer's code, or 0 where the generation gave none: its server died
under it, or hung. A client that leaves before its answer is counted there, too.
https://docs.cloud.google.com/load-balancing/docs/https/https-logging-monitoring
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from immutable_servers.contract.values import Answers
from immutable_servers.targets.cloud.answers import MINUTE, Minutes
from immutable_servers.targets.gcp.api import Api

SETTLED = 270.0
"""Seconds after which all is known that was answered: samples are visible up to 210 s later.
https://docs.cloud.google.com/monitoring/api/metrics_gcp_i_o#gcp-loadbalancing"""
WELL = {"100", "200", "300", "400"}
"""Classes of answers that are no errors."""
TIME = "%Y-%m-%dT%H:%M:%SZ"
CLASS = "response_code_class"
FILTER = (
    'metric.type = "loadbalancing.googleapis.com/https/backend_request_count"'
    ' AND resource.type = "https_lb_rule" AND resource.labels.backend_target_name = "{}"'
)


def count_answers(api: Api, backend: str) -> dict[str, Answers]:
    """Return what a backend service answered, by minute.

    Monitoring's minutes end where the interval does, so that ends with this clock's minute.
    https://github.com/prometheus-community/stackdriver_exporter/pull/22
    """
    minutes = Minutes()
    series = api.list(
        "timeSeries",
        service="monitoring",
        filter=FILTER.format(backend),
        interval_startTime=f"{minutes.start:{TIME}}",
        interval_endTime=f"{minutes.end:{TIME}}",
        aggregation_alignmentPeriod=f"{MINUTE}s",
        aggregation_perSeriesAligner="ALIGN_SUM",
        aggregation_crossSeriesReducer="REDUCE_SUM",
        aggregation_groupByFields=[f"metric.labels.{CLASS}"],
    )
    for one in series:
        for point in one["points"]:
            start = datetime.fromisoformat(point["interval"]["endTime"]) - timedelta(seconds=MINUTE)
            minutes.add(start, one["metric"]["labels"][CLASS], int(point["value"]["int64Value"]))
    return minutes.add_up(_judge)


def _judge(counted: Mapping[str, int], _age: float) -> Answers:
    errors = sum(count for kind, count in counted.items() if kind not in WELL)
    return Answers(sum(counted.values()), errors)
