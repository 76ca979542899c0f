"""Monitoring's time series of what the front ends have counted.

The real ones are sampled each 60 s, and visible up to 210 s later:
https://cloud.google.com/monitoring/api/metrics_gcp
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.refusals import Refusal
from clouds.gcp.emulation.world import World

METRIC = "loadbalancing.googleapis.com/https/backend_request_count"
RESOURCE = "https_lb_rule"
CONDITION = re.compile(r'([\w.]+)\s*=\s*"([^"]*)"')
MINUTE = 60.0
AGGREGATION: Mapping[str, str] = {
    "aggregation.perSeriesAligner": "ALIGN_SUM",
    "aggregation.crossSeriesReducer": "REDUCE_SUM",
    "aggregation.groupByFields": "metric.labels.response_code_class",
    "aggregation.alignmentPeriod": "60s",
}
"""What a question asks to be added up: the only way that is emulated."""


class Labels(NamedTuple):
    """What a request is counted by."""

    project: str
    url_map: str
    rule: str
    service: str
    code_class: str


class Series:
    """What was counted, by labels and by the number of the sample."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.counting = threading.Lock()
        self.counts: dict[Labels, Counter[int]] = {}

    def settle(self) -> None:
        """Follow nothing: the front ends count."""

    def end(self) -> None:
        """Leave nothing behind."""

    def count(self, labels: Labels) -> None:
        """Count a request."""
        sample = int(self.world.clock.now() // self.world.manners.sampled)
        with self.counting:
            self.counts.setdefault(labels, Counter())[sample] += 1

    def list_seen(self, project: str, service: str) -> Iterator[tuple[str, float, int]]:
        """Yield class, time and number of each sample of a backend service that can be seen now."""
        manners, now = self.world.manners, self.world.clock.now()
        with self.counting:
            counts = {labels: dict(samples) for labels, samples in self.counts.items()}
        for labels, samples in counts.items():
            if (labels.project, labels.service) != (project, service):
                continue
            for sample, number in samples.items():
                late = manners.visible * manners.draw("visible", *labels, sample)
                if (sample + 1) * manners.sampled + late <= now:
                    yield labels.code_class, sample * manners.sampled, number


@answers("monitoring.projects.timeSeries.list")
def list_time_series(world: World, call: Call) -> dict[str, Any]:
    """Return how many requests a backend service has answered, by class and minute."""
    asked = dict(call.parameters)
    found = dict(CONDITION.findall(asked.get("filter", "")))
    service = found.pop("resource.labels.backend_target_name", "")
    if found != {"metric.type": METRIC, "resource.type": RESOURCE} or not service:
        raise Refusal("notEmulated", f"the filter {asked.get('filter')!r} is not emulated")
    wrong = {name: asked.get(name) for name, text in AGGREGATION.items() if asked.get(name) != text}
    if wrong:
        raise Refusal("notEmulated", f"the aggregation {wrong} is not emulated")
    start, end = (read_time(asked[f"interval.{one}Time"]) for one in ("start", "end"))
    (series,) = (part for part in world.parts if isinstance(part, Series))
    sums: dict[str, Counter[float]] = {}
    for code_class, when, number in series.list_seen(call.parameters["projectsId"], service):
        back = (end - when) // MINUTE
        if start <= when < end:
            sums.setdefault(code_class, Counter())[end - back * MINUTE] += number
    return {"timeSeries": [_render(code_class, points) for code_class, points in sums.items()]}


def _render(code_class: str, points: Mapping[float, int]) -> dict[str, Any]:
    """Return one series, its latest point first."""
    return {
        "metric": {"type": METRIC, "labels": {"response_code_class": code_class}},
        "resource": {"type": RESOURCE, "labels": {}},
        "metricKind": "DELTA",
        "valueType": "INT64",
        "points": [
            {
                "interval": {"startTime": tell(end - MINUTE), "endTime": tell(end)},
                "value": {"int64Value": str(points[end])},
            }
            for end in sorted(points, reverse=True)
        ],
    }


def read_time(text: str) -> float:
    """Return a time in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def tell(when: float) -> str:
    """Return a time as the API says it."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
