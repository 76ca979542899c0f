"""Reads a service's droplets, whose tags say all that is known of their generations."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from immutable_servers.contract.front import Reply
from immutable_servers.contract.values import Fleet, Launch, Scope
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.tags import OWNER
from immutable_servers.targets.digitalocean.api import Api, Thing
from immutable_servers.targets.digitalocean.names import (
    ACTIVE,
    COUNT,
    PREFIX,
    SCOPE,
    find_generation,
    read_words,
    tag_count,
    tag_generation,
    tag_leaving,
    tag_service,
    unpack_record,
)

PENDING = ("new", ACTIVE)
"""States of a droplet that serves, or still may."""


class Droplets:
    """The droplets of a stack's services; one that is gone is no error."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find_all(self, scope: Scope, *, lately: bool = False) -> Sequence[Thing]:
        """Return a service's droplets in the order of their numbers, each generation's together.

        Args:
            scope: Of the service, or of one of its generations.
            lately: A listing that another wait had some seconds ago will do.
        """
        look = self.api.list_lately if lately else self.api.list
        found = look("droplets", tag_name=tag_service(scope))
        ours = [one for one in found if find_generation(scope, one["tags"])]
        return sorted(ours, key=lambda one: (find_generation(scope, one["tags"]), find_number(one)))

    def find(self, scope: Scope, *, lately: bool = False) -> Sequence[Thing]:
        """Return a generation's droplets in the order of their numbers."""
        tag, found = tag_generation(scope), self.find_all(scope, lately=lately)
        return [one for one in found if tag in one["tags"]]

    def find_fleets(self, scope: Scope, *, lately: bool = False) -> Iterator[Fleet]:
        """Yield the fleets of a service.

        Raises:
            LedgerError: A record cannot be read.
        """
        found = self.find_all(scope, lately=lately)
        for generation, droplets in groupby(found, lambda one: find_generation(scope, one["tags"])):
            yield _read_fleet(replace(scope, generation=generation), [*droplets])

    def find_window_end(self, scope: Scope) -> int:
        """Return when a fleet's login window ends, in seconds since the epoch; 0 once sealed."""
        return max(_read_numbers(scope, self.find(scope), ends.WINDOW), default=0)

    def set_count(self, scope: Scope, servers: int) -> None:
        """Write how many droplets a generation should have; safe to repeat.

        While both numbers are there the smaller one counts: what comes or goes meanwhile is wanted
        by nobody yet, or any more.
        """
        droplets = self.find(scope)
        wanted = tag_count(scope, servers)
        lack = [one["id"] for one in droplets if wanted not in one["tags"]]
        if lack:
            self.api.tag_droplets(wanted, lack)
        for other in {*_read_numbers(scope, droplets, COUNT)} - {servers}:
            self.api.delete("tags", tag_id=tag_count(scope, other))

    def explain_launches(self, scope: Scope) -> Sequence[str]:
        """Return what DigitalOcean could not do with droplets that do not run, by their actions."""
        said = []
        for one in (one for one in self.find(scope) if one["status"] != ACTIVE):
            failed = [action["type"] for action in self.api.list_failed(one["id"])]
            said += [f"{one['name']}: the action {kind} ended as errored" for kind in failed]
        return said

    def remove(self, droplets: Sequence[Thing]) -> None:
        """Delete droplets, and wait until they are gone; a missing one is no error."""
        for one in droplets:
            self.api.delete("droplets", droplet_id=one["id"])
        for one in droplets:
            self.api.wait(f"the end of {one['name']}", partial(self._is_gone, one["id"]))

    def _is_gone(self, droplet: int) -> bool:
        return self.api.find("droplets", droplet_id=droplet) is None

    def remove_tags(self, scope: Scope) -> None:
        """Delete all tags about a scope; the last ones are those that say whose it was."""
        ours = [one for one in self.api.list_tags() if read_words(scope, [one])]
        last = tuple(f"{PREFIX}{word}" for word in (SCOPE, OWNER))
        for tag in sorted(ours, key=lambda one: (one.startswith(last), one)):
            self.api.delete("tags", tag_id=tag)


def list_active(droplets: Sequence[Thing]) -> Sequence[Thing]:
    """Return those that run."""
    return [one for one in droplets if one["status"] == ACTIVE]


def find_number(droplet: Thing) -> int:
    """Return a droplet's number in its generation, which ends its name; 0 for a stranger."""
    last = str(droplet["name"]).rpartition("-")[2]
    return int(last) if last.isdigit() else 0


def find_address(droplet: Thing, kind: str) -> str:
    """Return the `public` or `private` address of a droplet; empty until it has one."""
    cards = droplet["networks"]["v4"]
    return next((str(one["ip_address"]) for one in cards if one["type"] == kind), "")


def ask_server(address: str, launch: Launch) -> Reply:
    """Ask a server itself for its health, at one of its addresses."""
    # What most processes never do needs modules that take their time to be imported.
    from immutable_servers.contract.asking import ask_every_node  # noqa: PLC0415

    host = f"{address}:{launch.port}"
    (reply,) = ask_every_node(f"http://{host}", host, launch.health)
    return reply


def _read_numbers(scope: Scope, droplets: Sequence[Thing], word: str) -> Iterator[int]:
    """Yield the numbers that tags of droplets say by a word."""
    for one in droplets:
        for tag in one["tags"]:
            value = read_words(scope, [tag]).get(f"{PREFIX}{word}", "")
            if value.isdigit():
                yield int(value)


def _read_fleet(scope: Scope, droplets: Sequence[Thing]) -> Fleet:
    states = {one["name"]: str(one["status"]) for one in droplets}
    wanted = min(_read_numbers(scope, droplets, COUNT), default=len(droplets))
    running = sum(state == ACTIVE for state in states.values())
    return Fleet(
        generation=scope.generation,
        record=unpack_record(scope, droplets[0]["tags"]),
        servers=wanted,
        whole=0 < wanted <= running,
        running=running,
        leaving=any(tag_leaving(scope) in one["tags"] for one in droplets),
        states=states,
    )
