"""Has a generation's autoscaler follow its traffic: what it counts is what the traffic costs.

Pulumi makes it, turned off, and never changes it. A generation without traffic keeps its number: a
candidate is idle, and a standby is to take all back. One with a part of the traffic may only grow.
Where all of it goes the number is the autoscaler's, from `servers` on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import ALL, Scope
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.gcp.api import BUSY, MISSING, Api
from immutable_servers.targets.gcp.groups import OF_GENERATIONS, Groups
from immutable_servers.targets.gcp.names import is_of, last_part, make_name, read_words

AUTOSCALERS = "regionAutoscalers"
OFF, GROWS, ON = "OFF", "ONLY_SCALE_OUT", "ON"
"""Modes. By the last one a group gets the number that the peak load of the last ten minutes needs.
https://docs.cloud.google.com/compute/docs/autoscaler/understanding-autoscaler-decisions"""


class Autoscalers:
    """The autoscalers of a region's groups, each by its generation's name."""

    def __init__(self, api: Api) -> None:
        self.api, self.groups = api, Groups(api)

    def hold(self, scope: Scope, generations: Iterable[str]) -> None:
        """Have generations of a service shrink no more; before traffic moves."""
        self._set_modes(scope, dict.fromkeys(generations, GROWS))

    def release(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Have all generations of a service do as their traffic says; once it is measured.

        One that just came to its traffic seems idle, and would lose servers that it needs.
        """
        self._set_modes(scope, {one: _choose(weights, one) for one in self._find_modes(scope)})

    def is_released(self, scope: Scope, weights: Mapping[str, int]) -> bool:
        """Return whether all generations of a service do as their traffic says."""
        if scope.service not in self.api.settings.scaling:
            return True
        modes = self._find_modes(scope)
        return modes == {one: _choose(weights, one) for one in {*modes, *weights}}

    def limit(self, scope: Scope, servers: int, limits: Mapping[str, int]) -> None:
        """Have a generation's autoscaler keep to the settings, and its group have the least."""
        least = min(servers, limits["max"])
        policy = {
            "minNumReplicas": least,
            "maxNumReplicas": limits["max"],
            "cpuUtilization": {"utilizationTarget": limits["cpu"] / ALL},
        }
        self._change(make_name(scope), policy)
        if self._count(scope) >= least:
            return
        found = self.api.find(AUTOSCALERS, autoscaler=make_name(scope)) or {}
        if found.get("autoscalingPolicy", {}).get("mode", OFF) == OFF:
            self.groups.resize(scope, least)
        else:
            self.api.wait(f"{least} servers of {scope.name}", lambda: self._count(scope) >= least)

    def turn_off(self, scope: Scope) -> str:
        """Leave a group's number to us; return the name of what scaled it, empty for nothing.

        Google refuses to resize a group that is scaled:
        https://github.com/terraform-google-modules/terraform-google-vm/issues/64
        """
        group = self.groups.find(scope) or {}
        name = last_part(group.get("status", {}).get("autoscaler", ""))
        if name:
            self._change(name, {"mode": OFF})
        return name

    def remove(self, scope: Scope) -> None:
        """Take a group's autoscaler away; the group keeps its number."""
        if name := self.turn_off(scope):
            self.api.delete(AUTOSCALERS, name)

    def _count(self, scope: Scope) -> int:
        return int((self.groups.find(scope) or {}).get("targetSize", 0))

    def _find_modes(self, scope: Scope) -> Mapping[str, str]:
        """Return the modes of a service's autoscalers by generation; without the setting none."""
        if scope.service not in self.api.settings.scaling:
            return {}
        found = self.api.list(AUTOSCALERS, filter=f'name eq "{OF_GENERATIONS}"')
        ours = [one for one in found if is_of(one, of_service(scope))]
        return {read_words(one)["generation"]: one["autoscalingPolicy"]["mode"] for one in ours}

    def _set_modes(self, scope: Scope, modes: Mapping[str, str]) -> None:
        now = self._find_modes(scope)
        for one in now.keys() & modes.keys():
            if now[one] != modes[one]:
                self._change(make_name(replace(scope, generation=one)), {"mode": modes[one]})

    def _change(self, name: str, policy: Mapping[str, Any]) -> None:
        body = {"autoscalingPolicy": policy}
        self.api.call(AUTOSCALERS, "patch", missing=MISSING, again=BUSY, autoscaler=name, body=body)


def _choose(weights: Mapping[str, int], generation: str) -> str:
    """Return the mode of a generation by its part of the traffic."""
    weight = weights.get(generation, 0)
    return GROWS if 0 < weight < ALL else ON if weight else OFF
