"""Finds a generation's servers, asks for their health, and deletes fleets completely."""

from collections.abc import Mapping, Sequence

from immutable_servers.contract.values import Fleet, Health, Member, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.targets.cloud.fleets import CloudFleets
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.balancer import GcpBalancer
from immutable_servers.targets.gcp.groups import GROUPS, Groups, Thing
from immutable_servers.targets.gcp.names import is_of, last_part, make_name, name_server
from immutable_servers.targets.gcp.scaling import AUTOSCALERS

RUNNING = "RUNNING"


class GcpFleets(CloudFleets):
    """The managed instance groups of a stack's services, and their machines."""

    balancer: GcpBalancer
    groups: Groups
    unmade = "Google has not made it yet"

    def __init__(self, api: Api, groups: Groups, balancer: GcpBalancer) -> None:
        super().__init__(balancer)
        self.api, self.groups = api, groups

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Ask for the groups with the service's words, and their templates."""
        return {fleet.generation: fleet for fleet in self.groups.find_fleets(scope)}

    def _find_port(self, scope: Scope) -> int:
        group = self.groups.find(scope) or {}
        return next((int(one["port"]) for one in group.get("namedPorts", ())), 0)

    def _describe_server(self, scope: Scope, name: str, instance: Thing) -> tuple[str, str]:
        card = instance["networkInterfaces"][0]
        return name_server(scope, name), card.get("networkIP", name)

    def find_instances(self, scope: Scope) -> Mapping[str, Thing]:
        """Return what Google says of a generation's machines, by their names.

        Only their zones are asked: one that is out elsewhere is nobody's trouble here.
        """
        machines = self.groups.find_machines(scope)
        zones = sorted({one["instance"].split("/")[-3] for one in machines.values()})
        which = f'name eq "{make_name(scope)}-.*"'
        found = [
            one for zone in zones for one in self.api.list("instances", zone=zone, filter=which)
        ]
        return {one["name"]: one for one in found if one["name"] in machines}

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Return what the load balancer's own health check says of every machine that runs."""
        del fleet
        machines = sorted(self.groups.find_machines(scope).items())
        return [_describe(name_server(scope, one), said, members) for one, said in machines]

    def find_given_up(self, scope: Scope) -> Mapping[str, str]:
        """Read in the group's errors why it will not make the machines that it lacks."""
        machines = self.groups.find_machines(scope)
        lacks = [one for one, said in machines.items() if "instanceStatus" not in said]
        why = self.groups.explain_giving_up(scope, machines.keys() - lacks) if lacks else ""
        return {name_server(scope, one): why for one in lacks if why}

    def _describe_states(self, scope: Scope, instances: Mapping[str, Thing]) -> Mapping[str, str]:
        health = {one.server: one.detail for one in self.find_health(scope)}
        return {
            name: f"{one['status']}, {health.get(name_server(scope, name), 'not asked')}"
            for name, one in instances.items()
        }

    def find_console(self, instance: Thing) -> str:
        """Return the end of what a machine has printed: another machine's words."""
        zone, name = last_part(instance["zone"]), instance["name"]
        which = {"zone": zone, "instance": name, "missing": ("resourceNotReady",)}
        answer = self.api.call("instances", "getSerialPortOutput", **which)
        return str(answer.get("contents", ""))

    def _delete(self, scope: Scope) -> None:
        """Delete all of a generation: what refers to a thing goes before it."""
        scaled_by = self.balancer.autoscalers.turn_off(scope)
        self.groups.empty(scope)
        self.balancer.remove_route(scope)
        api, name = self.api.raising(RetirementError), make_name(scope)
        if scaled_by:
            api.delete(AUTOSCALERS, scaled_by)
        for collection in ("backendServices", GROUPS, "instanceTemplates", "healthChecks"):
            api.delete(collection, name)
        for rule in api.list("firewalls", filter=f'name eq "{name}-.*"'):
            if is_of(rule, scope):  # somebody may have named one of his own after a generation
                api.delete("firewalls", rule["name"])


def _describe(name: str, said: Thing, members: Mapping[str, Member]) -> Health:
    """Return a machine's health: its group's word for it unless it runs, or else the balancer's."""
    status, action = said.get("instanceStatus", "not there"), said.get("currentAction", "NONE")
    member = members.get(name, Member(up=False, detail="the balancer has not asked it yet"))
    if status != RUNNING:
        return Health(name, ok=False, detail=f"it is {status}, its group's action is {action}")
    return Health(name, ok=member.up, detail=member.detail)
