"""Reads and changes managed instance groups, each the fleet of a generation.

The record of a generation is in its template, which never changes. What does is in the group: the
login window of its machines, and whether it repairs them.
"""

import datetime as dt
import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import Fleet, Scope
from immutable_servers.errors import LedgerError
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.gcp.api import BUSY, MISSING, Api
from immutable_servers.targets.gcp.faults import describe_trouble, fold
from immutable_servers.targets.gcp.names import is_of, last_part, make_name, read_words
from immutable_servers.targets.gcp.template import (
    RECORD,
    SEALED,
    WINDOW,
    read_metadata,
    read_window,
)

Thing = Mapping[str, Any]

GROUPS = "regionInstanceGroupManagers"
OF_GENERATIONS = ".*-[0-9a-f]{8}-[0-9a-f]{8}"
"""How the names of all generations end; a project has groups and templates of others, too."""
THERE = ("none", "verifying", "refreshing")
"""What a group does with machines that are there and stay: nothing, or nothing that stops them."""
GOING = ("DELETING", "ABANDONING")
HEALING = {"defaultActionOnFailure": "REPAIR", "forceUpdateOnRepair": "YES"}
"""A repair makes a machine as its group says now. By default it would be as it was made at first:
with the login window. https://docs.cloud.google.com/compute/docs/instance-groups/update-on-repair"""
MOST_DELAY = 3600
"""Longest time in seconds for which autohealing leaves a new machine alone."""
LASTING = (
    r".*[qQ]uota.*|limitExceeded|.*[nN]otFound|.*[iI]nvalid.*|badRequest|unsupportedOperation"
    r"|permissionsError|forbidden|.*AccessDenied|ipSpaceExhausted"
)
"""Codes of failures that stay until somebody changes a quota, a right or what a template names.
https://docs.cloud.google.com/compute/docs/reference/rest/v1/errors"""
FULL = r".*[rR]esourcePoolExhausted.*|.*ResourcesExhausted|stockout|resourceAvailability.*"
"""Codes of a zone that has no room now."""
MISSES = r".*[nN]otFound"
SHOWS_AFTER = 120.0
"""Seconds after which what was just made is known everywhere: an account that a service's first
generation has may take "60 seconds or more".
https://docs.cloud.google.com/iam/docs/service-accounts-create"""
OUTDATED = 300.0
"""Seconds after which a failure says nothing: somebody may have helped since."""


class Failure(NamedTuple):
    """An attempt of a group to make a machine, with Google's code and words."""

    machine: str
    zone: str
    code: str
    said: str
    at: float

    def is_any(self, codes: str) -> bool:
        """Return whether it is of such a kind."""
        return bool(re.fullmatch(codes, fold(self.code)))

    @property
    def why(self) -> str:
        """What it means, and what to do."""
        return describe_trouble(self.code, self.said)


class Groups:
    """The managed instance groups of a region; a group that is gone is no error."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find_all(self, scope: Scope) -> list[Thing]:
        """Return the groups of a stack, of a service or of a generation; of all for an empty one.

        The question is the same for all, so that whoever asks once asks once for all services.
        """
        found = self.api.list(GROUPS, filter=self._render_filter(scope))
        return [group for group in found if is_of(group, scope)]

    def find_fleets(self, scope: Scope) -> list[Fleet]:
        """Return the fleets of a service or of a generation, with their records.

        Raises:
            LedgerError: A record cannot be read.
        """
        groups = self.find_all(scope)
        if not groups:
            return []
        found = self.api.list("instanceTemplates", filter=self._render_filter(scope))
        templates = {template["name"]: template for template in found}
        return [_read_fleet(group, templates) for group in groups]

    def _render_filter(self, scope: Scope) -> str:
        is_one = scope.generation and not self.api.asked.is_on
        return f'name eq "{make_name(scope) if is_one else OF_GENERATIONS}"'

    def find(self, scope: Scope) -> Thing | None:
        """Return a generation's group, or None."""
        return self.api.find(GROUPS, named=make_name(scope))

    def find_machines(self, scope: Scope) -> Mapping[str, Thing]:
        """Return what a group says of the machines that stay in it, by their names."""
        found = self._list(scope, "listManagedInstances")
        staying = [one for one in found if one.get("currentAction") not in GOING]
        return {one["name"]: one for one in staying}

    def explain_launches(self, scope: Scope) -> Sequence[str]:
        """Return why a group could not make machines, the latest first; empty when it could."""
        return [*dict.fromkeys(one.why for one in self._find_failures(scope))]

    def explain_giving_up(self, scope: Scope, there: Collection[str]) -> str:
        """Return why a group will not make the machines that it lacks; empty while it may.

        A group tries again until it succeeds, in zones where there is room. So it is given up when
        each of its zones had none, or for what only a person ends: see `LASTING` and `SHOWS_AFTER`.

        Args:
            scope: The generation's.
            there: Names of the machines that it has.
        """
        failures = [one for one in self._find_failures(scope) if one.machine not in there]
        if not failures or time.time() - failures[0].at > OUTDATED:
            return ""
        for one in failures:
            first = min(other.at for other in failures if other.code == one.code)
            patience = SHOWS_AFTER if one.is_any(MISSES) else 0
            if one.is_any(LASTING) and one.at - first >= patience:
                return one.why
        policy = (self.find(scope) or {}).get("distributionPolicy", {})
        zones = {last_part(one["zone"]) for one in policy.get("zones", ())}
        full = [one for one in failures if one.is_any(FULL)]
        return full[0].why if full and zones and zones <= {one.zone for one in full} else ""

    def _find_failures(self, scope: Scope) -> Sequence[Failure]:
        """Return what a group could not make, the latest first."""
        found = [_read_failure(one) for one in self._list(scope, "listErrors")]
        return sorted(found, key=lambda one: one.at, reverse=True)

    def find_window_end(self, scope: Scope) -> int:
        """Return when a fleet's login window ends, in seconds since the epoch; 0 once sealed."""
        group = self.find(scope)
        return read_window(_read_override(group)) if group else 0

    def seal(self, scope: Scope) -> None:
        """Have all machines that a group makes from now on boot sealed, and heal it from now on.

        It is one change, so that no machine is made between the two. Sealed is sealed: safe to
        repeat.
        """
        delay = min(int(self.api.settings.boot_deadline), MOST_DELAY)
        check = f"projects/{self.api.settings.project}/global/healthChecks/{make_name(scope)}"

        def render(group: Thing) -> Thing | None:
            override = _read_override(group)
            if override.get(WINDOW) == SEALED:
                return None
            return {
                "allInstancesConfig": {"properties": {"metadata": {**override, WINDOW: SEALED}}},
                "instanceLifecyclePolicy": HEALING,
                "autoHealingPolicies": [{"healthCheck": check, "initialDelaySec": delay}],
            }

        if self.find(scope):
            self.api.change(GROUPS, make_name(scope), render)

    def recreate(self, scope: Scope, machines: Sequence[str]) -> None:
        """End machines of a group, by their links; it makes each again, as it says now.

        To delete them would be to want fewer of them.
        """
        if machines:
            self._act(scope, "recreateInstances", body={"instances": machines})

    def empty(self, scope: Scope) -> None:
        """Begin a fleet's deletion: with no machine wanted it is never used again."""
        self.resize(scope, 0)

    def resize(self, scope: Scope, servers: int) -> None:
        """Have a group that nothing scales hold so many machines."""
        self._act(scope, "resize", size=servers)

    def _act(self, scope: Scope, method: str, **words: Any) -> None:  # noqa: ANN401 - the method's own
        named = make_name(scope)
        self.api.call(GROUPS, method, missing=MISSING, again=BUSY, named=named, **words)

    def _list(self, scope: Scope, method: str) -> list[Thing]:
        return self.api.list(GROUPS, method, missing=MISSING, named=make_name(scope))


def _read_failure(said: Thing) -> Failure:
    """Return one of a group's errors; it may be about no machine."""
    error, link = said["error"], said.get("instanceActionDetails", {}).get("instance", "")
    *_, zone, _, machine = f"//{link}".split("/")
    at = dt.datetime.fromisoformat(said["timestamp"]).timestamp()
    return Failure(machine, zone, error.get("code", ""), error.get("message", ""), at)


def _read_override(group: Thing) -> Mapping[str, str]:
    """Return the metadata that a group lays over its template's."""
    properties = group.get("allInstancesConfig", {}).get("properties", {})
    return dict(properties.get("metadata", {}))


def _read_fleet(group: Thing, templates: Mapping[str, Thing]) -> Fleet:
    """Return what a group and its template say of a fleet.

    Raises:
        LedgerError: Its record cannot be read: unreadable is never empty.
    """
    words, versions = read_words(group), group.get("versions") or [group]
    name = last_part(versions[0].get("instanceTemplate", ""))
    try:
        record = json.loads(read_metadata(templates[name]["properties"])[RECORD])
        window = int(words.get(ends.WINDOW, 0))
    except (KeyError, ValueError) as error:
        raise LedgerError(
            f"The record of the group {group['name']} cannot be read",
            facts=[f"it is in the metadata {RECORD} of the template {name or 'that it lacks'}"],
            todo="Somebody gave the group another template: set its own one again, or delete the"
            " group by hand if it is not needed, then run again.",
        ) from error
    if window:  # of a run, not of the generation: the template is the same for all runs
        record |= {"window_ends": window, "launched_at": window - LOGIN_WINDOW}
    actions, wanted = group.get("currentActions", {}), int(group["targetSize"])
    running = sum(int(actions.get(one, 0)) for one in THERE)
    return Fleet(
        generation=words["generation"],
        record=record,
        servers=wanted,
        whole=0 < wanted <= running,
        running=running,
        leaving=wanted == 0,
    )
