"""Reads that are late: for some time after a write they may say what was before it.

EC2 promises no more: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html. The
official provider waits for the two others too, after each create and tag
(`elbV2PropagationTimeout` in internal/service/elbv2, `propagationTimeout` in
internal/service/autoscaling of terraform-provider-aws). A write sees what is.
"""

import copy
import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from clouds.aws.emulation.cloud_manners import AwsManners

BACKENDS: Mapping[str, Any] = {
    "ec2": ec2_backends,
    "elbv2": elbv2_backends,
    "autoscaling": autoscaling_backends,
}
LATE = ("DescribeTargetHealth", "DescribeScalingActivities")
"""Reads that are about what happens, and not about what was written."""
SWEEP = 50
"""After so many writes the memory of old copies is given back."""
State = Mapping[tuple[str, str], Any]
"""A service's models by account and region."""


def is_read(action: str) -> bool:
    """Tell whether a call changes nothing."""
    return action.startswith(("Describe", "Get", "List"))


class Past:
    """What the services knew, before each of the last writes."""

    def __init__(self) -> None:
        self.kept: dict[str, list[tuple[float, State]]] = {name: [] for name in BACKENDS}
        self.reads = self.writes = 0

    def keep(self, service: str, action: str, manners: AwsManners) -> None:
        """Keep what a service knows, when a call is about to change it."""
        if service not in BACKENDS or is_read(action) or not manners.stale:
            return
        self.writes += 1
        if self.writes % SWEEP == 0:
            gc.collect()  # old copies are cycles
        now = time.monotonic()
        young = [one for one in self.kept[service] if one[0] > now - manners.stale]
        self.kept[service] = [*young, (now, _copy(service))]

    @contextmanager
    def show(self, service: str, action: str, manners: AwsManners) -> Iterator[None]:
        """Have a read see a moment that is up to `stale` seconds ago, in the block."""
        before = self._find(service, action, manners)
        now = {place: _put(service, place, models) for place, models in before.items()}
        try:
            yield
        finally:
            for place, models in now.items():
                _put(service, place, models)

    def _find(self, service: str, action: str, manners: AwsManners) -> State:
        if not self.kept.get(service) or not is_read(action) or action in LATE:
            return {}
        self.reads += 1
        late = manners.stale * manners.draw("stale", service, action, self.reads)
        then = time.monotonic() - late
        return next((state for at, state in self.kept[service] if at > then), {})


def _copy(service: str) -> State:
    """Return copies of a service's models, which know the other services' as they are."""
    others = [
        models
        for name, backends in BACKENDS.items()
        if name != service
        for account in [*backends.values()]
        for models in [*account.values()]
    ]
    memo = {id(models): models for models in others}
    return {
        (account, region): copy.deepcopy(models, dict(memo))
        for account, regions in [*BACKENDS[service].items()]
        for region, models in [*regions.items()]
    }


def _put(service: str, place: tuple[str, str], models: Any) -> Any:  # noqa: ANN401 - moto's models
    """Put models where the service looks for them; return those that were there."""
    account, region = place
    regions = BACKENDS[service][account]
    before = regions[region]
    dict.__setitem__(regions, region, models)
    return before
