"""Reaches the servers' SSH port while their generation's login window is open, and no longer."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import FleetSpec, Say, Scope
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.access import CloudAccess
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.fleets import GcpFleets
from immutable_servers.targets.gcp.names import (
    LABELS,
    describe,
    is_of,
    last_part,
    make_labels,
    make_name,
    name_server,
    read_words,
)
from immutable_servers.targets.gcp.needs import NEEDS
from immutable_servers.targets.gcp.network import find_zones
from immutable_servers.targets.gcp.settings import GcpSettings
from immutable_servers.targets.gcp.template import camel, render_instance
from immutable_servers.targets.gcp.verifier import render_way
from immutable_servers.targets.shared.host_keys import read_host_key
from immutable_servers.targets.shared.ssh import Host

NO_ROOM = ("ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS")
"""Codes of a zone that has no room for such a server now."""
LIMIT = {
    "maxRunDuration": {"seconds": str(LOGIN_WINDOW)},
    "instanceTerminationAction": "DELETE",
}
"""Of a probe that nobody ends: Google does."""


class GcpAccess(CloudAccess):
    """Logs in directly, by the user's ssh configuration, or through Identity-Aware Proxy."""

    fleets: GcpFleets
    api: Api
    settings: GcpSettings
    variables = NEEDS.variables
    _name = staticmethod(make_name)
    login_todo = (
        "See that verify_through and verify_from under immutable-servers:gcp fit the network, and"
        " with iap that you have the role in docs/how-to/gcp.md; then run the update again."
    )
    keys_todo = (
        "See that the base image has its seal, which prints the key on the serial port; or set"
        " verify_through under immutable-servers:gcp to private, iap or ssh_config."
    )

    def _find_host(self, scope: Scope, instance: Mapping[str, Any]) -> Host:
        """Return a server as ssh finds it, with what Google's API shows of its host key.

        One that has just been made may have no external address yet, and says no key then.
        https://docs.cloud.google.com/sdk/gcloud/reference/compute/start-iap-tunnel
        """
        name, card = name_server(scope, instance["name"]), instance["networkInterfaces"][0]
        if self._is_strict:
            outside: Mapping[str, Any] = next(iter(card.get("accessConfigs", ())), {})
            key = read_host_key(self.fleets.find_console(instance))
            return Host(name, outside.get("natIP", ""), key=key)
        if self.settings.reach != "iap":
            return Host(name, card["networkIP"])
        tunnel = "gcloud compute start-iap-tunnel %h %p --listen-on-stdin --verbosity=warning"
        place = f"--zone={last_part(instance['zone'])} --project={self.settings.project}"
        return Host(name, instance["name"], options=(f"ProxyCommand {tunnel} {place}",))

    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the rules with a window's end that are the scope's; an empty one is any's."""
        return _pick(self.api.list("firewalls"), scope, ends.WINDOW)

    def remove_way(self, name: str) -> None:
        """Remove a rule by its name."""
        self.api.delete("firewalls", name)

    def _let_in(self, scope: Scope, end: int) -> None:
        self.let_in(make_name(scope), scope, end)

    def let_in(self, name: str, scope: Scope, end: int) -> None:
        """Let the verifier in to SSH, with the time when that has to be over.

        This machine's address may have changed since: the rule holds nobody's but the one that it
        has now.

        Args:
            name: Of what the rule is for, a generation or a probe.
            scope: The generation's.
            end: In seconds since the epoch.
        """
        kind, value = self.settings.find_rule_target(scope)
        rule = {
            **render_way(self.api, f"{name}-ssh", self.settings.reach),
            "description": describe(scope, **{ends.WINDOW: str(end)}),
            camel(f"target_{kind}"): [value],
        }
        found = self.api.find("firewalls", named=rule["name"])
        if found is None:
            self.api.call("firewalls", "insert", body=rule)
        elif any(found[key] != rule[key] for key in ("description", "sourceRanges")):
            self.api.call("firewalls", "patch", firewall=rule["name"], body=rule)

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        """Seal the fleet for good before late servers are ended: none comes open after that."""
        self.fleets.groups.seal(scope)
        super()._close_way(scope, sealed, say)

    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        machines = self.fleets.groups.find_machines(scope)
        late = [one for one in sorted(machines) if name_server(scope, one) not in checked]
        for one in late:
            say(f"ends {name_server(scope, one)}: it came when the others had been checked")
        self.fleets.groups.recreate(scope, [machines[one]["instance"] for one in late])

    def find_probes(self, scope: Scope) -> Sequence[Thing]:
        """Return the probes that are the scope's; an empty one is any's."""
        which = f"labels.{LABELS.prefix}{ends.PROBE}:*"
        return _pick(self.api.list("instances", "aggregatedList", filter=which), scope, ends.PROBE)

    def remove_probes(self, scope: Scope) -> None:
        """Remove their instances; the rules that let somebody in to them have ends, too."""
        for one in self.find_probes(scope):
            if ends.is_over(one.words, ends.PROBE):
                remove_in_zones(self.api, "instances", one.name)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        """Launch an instance outside of any group, which Google ends itself when nobody does."""
        del folder, say
        name = f"{make_name(spec.scope)}-probe-{spec.window_ends}"
        zones = find_zones(self.api, self.settings.find_size(spec.launch.size))
        try:
            self.let_in(name, spec.scope, spec.window_ends)
            zone = self._launch(spec, name, zones)
            look = partial(self.api.call, "instances", "get", named=name, zone=zone)
            yield self._wait_for_probe(spec.scope, look)
        finally:
            for zone in zones:  # a list may not show yet what was made a moment ago
                self.api.delete("instances", name, zone=zone)
            self.remove_way(f"{name}-ssh")

    def _launch(self, spec: FleetSpec, name: str, zones: Sequence[str]) -> str:
        """Launch a probe in the first zone that has room for it; return the zone."""
        until = {ends.PROBE: str(spec.window_ends)}
        ours = {
            "description": describe(spec.scope, **until),
            "labels": make_labels(spec.scope, **until),
            "scheduling": LIMIT,
        }
        for zone in zones:
            body = render_instance(self.settings, spec, name, zone) | ours
            missing = () if zone == zones[-1] else NO_ROOM
            if self.api.call("instances", "insert", missing=missing, zone=zone, body=body):
                break
        return zone


def _pick(found: Sequence[Mapping[str, Any]], scope: Scope, end: str) -> Sequence[Thing]:
    """Return those of some things that are a scope's and have such an end."""
    ours = [Thing(one["name"], read_words(one)) for one in found if is_of(one, scope)]
    return [one for one in ours if end in one.words]


def remove_in_zones(api: Api, collection: str, name: str) -> None:
    """Remove an instance or a disk, in whatever zone it is; a missing one is no error."""
    for one in api.list(collection, "aggregatedList", filter=f'name = "{name}"'):
        api.delete(collection, name, zone=last_part(one["zone"]))
