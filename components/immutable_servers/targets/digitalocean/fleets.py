"""Finds a generation's servers, asks for their health, and deletes fleets completely."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from immutable_servers.contract.values import Fleet, Health, Launch, Member, Say, Scope
from immutable_servers.errors import RetirementError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.fleets import CloudFleets
from immutable_servers.targets.digitalocean.api import Api, Thing
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.droplets import (
    PENDING,
    Droplets,
    ask_server,
    find_address,
)
from immutable_servers.targets.digitalocean.firewalls import Firewalls
from immutable_servers.targets.digitalocean.names import (
    ACTIVE,
    make_name,
    tag_generation,
    tag_leaving,
    tag_live,
)
from immutable_servers.targets.shared.health import ACCEPTED

AT_ONCE = 20
"""Servers that are asked side by side."""


class DoFleets(CloudFleets):
    """The droplets of a stack's services."""

    balancer: DoBalancer
    groups: Droplets
    unmade = "DigitalOcean makes none again by itself"

    def __init__(self, api: Api, balancer: DoBalancer) -> None:
        super().__init__(balancer)
        self.api, self.groups, self.firewalls = api, Droplets(api), Firewalls(api)

    def find(self, scope: Scope) -> Mapping[str, Fleet]:
        """Ask for the droplets with the service's tag."""
        return {fleet.generation: fleet for fleet in self.groups.find_fleets(scope)}

    def _find_port(self, scope: Scope) -> int:
        fleet = self.find(scope).get(scope.generation)
        return Launch.from_plain(fleet.record["launch"]).port if fleet else 0

    def _describe_server(self, scope: Scope, name: str, instance: Thing) -> tuple[str, str]:
        del scope
        return name, self.find_address(instance)

    def find_address(self, droplet: Thing) -> str:
        """Return the address by which this machine reaches a droplet; empty until it has one."""
        is_public = self.api.settings.reach == "public"
        return find_address(droplet, "public" if is_public else "private")

    def find_instances(self, scope: Scope) -> Mapping[str, Thing]:
        """Return a generation's droplets by name."""
        return {one["name"]: one for one in self.groups.find(scope)}

    def wait_until_launched(self, scope: Scope, seconds: float, say: Say) -> int:
        """Wait with fresh answers: what was asked before the launch says nothing of it."""
        self.api.look_anew()
        return super().wait_until_launched(scope, seconds, say)

    def _look(self, scope: Scope) -> tuple[Mapping[str, Member], Fleet | None]:
        fleets = self.groups.find_fleets(scope, lately=True)
        fleet = next((one for one in fleets if one.generation == scope.generation), None)
        return self.balancer.describe_members(scope, self.groups.find(scope, lately=True)), fleet

    def _ask_health(
        self, scope: Scope, fleet: Fleet | None, members: Mapping[str, Member]
    ) -> Sequence[Health]:
        """Ask each droplet while a firewall lets us in, and the service's address afterwards."""
        droplets = self.groups.find(scope, lately=True)
        if fleet and self._can_ask(scope):
            ask = partial(self._ask, launch=Launch.from_plain(fleet.record["launch"]))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                return [*pool.map(ask, droplets)]
        serving = any(tag_live(scope) in one["tags"] for one in droplets)
        failure = self.balancer.find_failure(scope) if serving else ""
        return [_describe(one, members, failure) for one in droplets]

    def _can_ask(self, scope: Scope) -> bool:
        """Return whether droplets answer this machine; a host of the user's answers ssh alone."""
        if self.api.settings.reach == "ssh_config":
            return False
        return self.api.find_named("firewalls", name_way(scope), lately=True) is not None

    def _ask(self, droplet: Thing, *, launch: Launch) -> Health:
        name, address = droplet["name"], self.find_address(droplet)
        if droplet["status"] != ACTIVE or not address:
            return Health(name, ok=False, detail=f"it is {droplet['status']}")
        reply = ask_server(address, launch)
        return Health(name, ok=reply.status in ACCEPTED, detail=reply.fault or str(reply.status))

    def find_given_up(self, scope: Scope) -> Mapping[str, str]:
        """Name the droplets that ended: nobody starts them again.

        One that is missing may only not be listed yet.
        """
        found = self.groups.find(scope, lately=True)
        ended = [one for one in found if one["status"] not in PENDING]
        return {one["name"]: f"it is {one['status']}" for one in ended}

    def find_console(self, instance: Thing) -> str:
        """Return nothing: DigitalOcean's API shows no console."""
        del instance
        return ""

    def _describe_states(self, scope: Scope, instances: Mapping[str, Thing]) -> Mapping[str, str]:
        health = {one.server: one.detail for one in self.find_health(scope)}
        return {
            name: f"{one['status']}{', locked' if one['locked'] else ''},"
            f" {health.get(name, 'not asked')}"
            for name, one in instances.items()
        }

    def complete(self, scope: Scope, servers: int, ids: Collection[str], say: Say) -> None:
        """Have a generation be these droplets: what is above their number, or a twin, goes.

        A creation whose answer was lost may have been made twice. What leaves the pool has as long
        for its requests as a connection may be silent.

        Args:
            scope: The generation's.
            servers: How many they are.
            ids: Theirs.
            say: Takes a line for what takes long.
        """
        self.groups.set_count(scope, servers)
        droplets = self.groups.find(scope)
        staying = [one for one in droplets if str(one["id"]) in ids]
        leaving = [one for one in droplets if one not in staying] if staying else []
        if any(tag_live(scope) in one["tags"] for one in leaving):
            live = [one for one in staying if tag_live(scope) in one["tags"]]
            self.balancer.keep(scope, live or staying)
            seconds = float(self.api.settings.timeout)
            wait_until(f"draining {scope.name}", seconds, lambda: False, every=1.0)
        if leaving:
            say(f"ends {', '.join(one['name'] for one in leaving)}")
            self.groups.remove(leaving)

    def lead(self, scope: Scope) -> None:
        """Have the droplets of a generation that serves join its pool, those that answer."""
        droplets = self.groups.find(scope)
        live = [one for one in droplets if tag_live(scope) in one["tags"]]
        if live and len(live) < len(droplets):
            healthy = {one.server for one in self.find_health(scope) if one.ok}
            new = [one for one in droplets if one not in live and one["name"] in healthy]
            self.balancer.keep(scope, [*live, *new])

    def _delete(self, scope: Scope) -> None:
        """Delete a generation's droplets, then what only they needed."""
        groups = Droplets(self.api.raising(RetirementError))
        # By the generation's own tag: somebody may have taken its service's off.
        if droplets := groups.api.list("droplets", tag_name=tag_generation(scope)):
            groups.api.tag_droplets(tag_leaving(scope), [one["id"] for one in droplets])
            groups.remove(droplets)
        Firewalls(groups.api).remove(name_way(scope))
        groups.remove_tags(scope)


def name_way(scope: Scope) -> str:
    """Return the name of the firewall of a generation's login window."""
    return f"{make_name(scope)}-window"


def _describe(droplet: Thing, members: Mapping[str, Member], failure: str) -> Health:
    """Return the health of a droplet that only its balancer can ask."""
    member = members.get(droplet["name"], Member(up=False, detail="no pool can have it"))
    if member.up and failure:
        return Health(droplet["name"], ok=False, detail=f"the service's address: {failure}")
    return Health(droplet["name"], ok=member.up, detail=member.detail)
