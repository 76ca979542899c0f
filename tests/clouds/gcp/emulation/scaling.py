"""Autoscalers of regional groups, as the API has them: a change names its own by a parameter.

A test says which load a service has, and it goes where the service's pointer sends requests.
https://cloud.google.com/compute/docs/autoscaler/understanding-autoscaler-decisions
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil
from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.kinds import KINDS, PLAIN, Kind, find_kind, need
from clouds.gcp.emulation.links import V1
from clouds.gcp.emulation.plain import patch, update
from clouds.gcp.emulation.pointers import read_weights
from clouds.gcp.emulation.refusals import refuse_invalid
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World

LOOK_SECONDS = 0.1
"""How often an autoscaler measures."""
USUAL_TARGET = 0.6
UNSCALED = ("ANY", "ANY_SINGLE_ZONE")
"""Shapes of groups that nothing scales.
https://cloud.google.com/compute/docs/instance-groups/regional-mig-distribution-shape
"""


def check_autoscaler(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse limits that no group can keep, and a second autoscaler of a group."""
    need(thing, "target", "autoscalingPolicy")
    policy = thing["autoscalingPolicy"]
    low, high = policy.get("minNumReplicas", 2), policy.get("maxNumReplicas", 0)
    if not 0 <= low <= high:
        raise refuse_invalid("resource.autoscalingPolicy", f"{low}..{high}")
    if not 0 < find_target(policy) <= 1:
        raise refuse_invalid("resource.autoscalingPolicy.cpuUtilization", find_target(policy))
    for other, one in world.store.list(path.rpartition("/")[0]).items():
        if other != path and one["target"] == thing["target"]:
            raise refuse_invalid("resource.target", thing["target"], f"'{other}' scales it.")
    group = world.store.get(thing["target"].removeprefix(V1))
    shape = group.get("distributionPolicy", {}).get("targetShape", "EVEN")
    if shape in UNSCALED:
        raise refuse_invalid("resource.target", thing["target"], f"Its shape is {shape}.")


KINDS["regionAutoscalers"] = Kind(PLAIN, check=check_autoscaler, defaults={"status": "ACTIVE"})


@answers("compute.regionAutoscalers.update", "compute.regionAutoscalers.patch")
def change_autoscaler(world: World, call: Call) -> Thing:
    """Change an autoscaler that the query names, or the body."""
    name = call.parameters.get("autoscaler") or call.body.get("name", "")
    about = replace(call, path=f"{call.path}/{name}")
    action = update if call.method.action == "update" else patch
    return action(world, about, find_kind("regionAutoscalers"))


def find_target(policy: Mapping[str, Any]) -> float:
    """Return the part of its processors that a group's machines are to use."""
    return float(policy.get("cpuUtilization", {}).get("utilizationTarget", USUAL_TARGET))


class Scalers:
    """What autoscalers measure, and the sizes that they give their groups.

    Attributes:
        measured: Moments and loads of each group, in machines that are fully used.
    """

    def __init__(self, world: World) -> None:
        self.world, self.looked = world, 0.0
        self.measured: dict[str, list[tuple[float, float]]] = {}

    def settle(self) -> None:
        """Measure, and follow the modes."""
        now = time.monotonic()
        if now < self.looked + LOOK_SECONDS:
            return
        self.looked = now
        load = Counter[str]()
        for group, part in self._spread():
            load[group] += part  # type: ignore[assignment]
        for path, scaler in self.world.store.list_all("autoscalers").items():
            group = scaler["target"].removeprefix(V1)
            self.measured.setdefault(group, []).append((now, load[group]))
            self._follow(path, scaler, group)

    def end(self) -> None:
        """Leave nothing behind."""

    def _spread(self) -> Iterator[tuple[str, float]]:
        """Yield the part of the load that each group gets by the pointers of the services."""
        store = self.world.store
        for path, url_map in store.list_all("urlMaps").items():
            place = path.rpartition("/urlMaps/")[0]
            for matcher in url_map.get("pathMatchers", ()):
                weights, load = read_weights(matcher), self.world.manners.load
                for name, weight in weights.items():
                    service = store.find(f"{place}/backendServices/{name}") or {}
                    part = load.get(matcher["name"], 0.0) * weight / sum(weights.values())
                    for backend in service.get("backends", ()):
                        group = backend["group"].removeprefix(V1)
                        yield group.replace("/instanceGroups/", "/instanceGroupManagers/"), part

    def _follow(self, path: str, scaler: Thing, group: str) -> None:
        policy, manners, now = scaler["autoscalingPolicy"], self.world.manners, self.looked
        self.measured[group] = [
            one for one in self.measured[group] if one[0] > now - manners.stabilization
        ]
        known = [load for moment, load in self.measured[group] if moment <= now - manners.measured]
        manager = self.world.store.find(group)
        if not known or not manager:
            return
        needed = ceil(max(known) / find_target(policy))
        size = min(max(needed, policy.get("minNumReplicas", 2)), policy["maxNumReplicas"])
        if scaler.get("recommendedSize") != size:
            self.world.store.put(path, {**scaler, "recommendedSize": size})
        mode, before = policy.get("mode", "ON"), int(manager["targetSize"])
        follows = size > before if mode == "ONLY_SCALE_OUT" else mode == "ON" and size != before
        if follows:
            self.world.journal.note("scale", group=group.rpartition("/")[2], size=size, mode=mode)
            self.world.store.put(group, {**manager, "targetSize": size})
