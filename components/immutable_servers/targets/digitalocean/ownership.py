"""Keeps owners in tags of the account, and finds what no stack owns there.

A load balancer takes no tags, so an owner's belong to no resource: their name says the stack. Tags
stay when the last droplet that has them is gone, so that they say whose everything is; without them
nothing proves it, and nothing is deleted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.balancer import refuse_leading
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.cloud.ownership import NamedOwnership
from immutable_servers.targets.cloud.tags import OWNER, pack_owner, unpack_owner
from immutable_servers.targets.digitalocean.access import DoAccess
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.bake import find_bakes, remove_thing
from immutable_servers.targets.digitalocean.fleets import DoFleets
from immutable_servers.targets.digitalocean.names import (
    PREFIX,
    TAGGING,
    group_words,
    list_scopes,
    make_name,
    make_tag,
    read_words,
    tag_live,
    tag_service,
    write_words,
)
from immutable_servers.targets.digitalocean.reserved import find_reserved, list_holders
from immutable_servers.targets.shared.leftovers import Part

WAYS: Mapping[str, str] = {"load_balancers": "lb_id", "firewalls": "firewall_id"}
"""What leads to a service, in the order in which it can go, and pydo's word for its id."""
ANY = Scope("", "")
"""The scope of all stacks."""


class DoOwnership(NamedOwnership):
    """Owners and leftovers, found by our tags and names.

    A snapshot has its bake's name until it is whole, and so its end. A droplet goes before the key,
    the firewall and the tag that it has.
    """

    ended: ClassVar[Mapping[str, str]] = {
        "droplet": "droplets",
        "snapshot": "images",
        "login rule": "firewalls",
        "key": "ssh_keys",
        "tag": "tags",
    }
    access: DoAccess
    fleets: DoFleets
    api: Api

    def __init__(self, access: DoAccess) -> None:
        self.access, self.fleets, self.api = access, access.fleets, access.api

    def find_owner(self, scope: Scope) -> Owner | None:
        """Read it from the stack's tags; None when it cannot be read."""
        return unpack_owner(TAGGING, self._group_tags().get(make_name(scope.of_stack), {}))

    def list_owners(self) -> Sequence[Owner]:
        """Read the owner of each stack in the account."""
        found = {name: unpack_owner(TAGGING, words) for name, words in self._group_tags().items()}
        return [one for name, one in found.items() if one and make_name(_find_stack(one)) == name]

    def write_owner(self, owner: Owner) -> None:
        """Write an owner's tags beside the stack's own one; without that there is no place."""
        stack, packed, tags = _find_stack(owner), pack_owner(TAGGING, owner), self.api.list_tags()
        if not packed or make_tag("stack", stack) not in tags:
            return
        wanted = write_words(stack, packed)
        old = (tag for tag in tags if tag.startswith(f"{PREFIX}{OWNER}") and tag not in wanted)
        for tag in (tag for tag in old if read_words(stack, [tag])):
            self.api.delete("tags", tag_id=tag)
        for tag in wanted:
            self.api.call("tags.create", body={"name": tag})

    def remove_owner(self, scope: Scope) -> None:
        """Remove a stack's own tags: what says whose it is goes as the last thing of it."""
        self.fleets.groups.remove_tags(scope.of_stack)

    def _group_tags(self) -> Mapping[str, Mapping[str, str]]:
        return group_words(self.api.list_tags())

    def _find(self, word: str) -> Iterator[Thing]:
        """Yield what bakes have made, probes and ways to servers, of all stacks."""
        for one in find_bakes(self.api, word):
            yield Thing(one["name"], bakes.read_bake(one["name"]))
        if word == "droplets":
            for one, words in self.access.find_probes(ANY):
                yield Thing(one["name"], words)
        if word == "firewalls":
            yield from self.access.find_ways(ANY)

    def _remove(self, word: str, name: str) -> None:
        """Remove all that has the name of a bake's, or of a way, or a probe of this name."""
        for one in find_bakes(self.api, word):
            if one["name"] == name:
                remove_thing(self.api, word, one)
        if word == "droplets":
            probes = [one for one, _ in self.access.find_probes(ANY) if one["name"] == name]
            self.fleets.groups.remove(probes)
        if word == "firewalls" and not bakes.read_bake(name):
            self.access.remove_way(name)

    def find_scopes(self) -> Sequence[Scope]:
        """Return whose the generations are that tags name; the tags go last."""
        return [*list_scopes(self.api.list_tags())]

    def _find_stack_parts(self) -> Iterator[Part]:
        """Yield the ways to services of stacks that tags name, and the stacks' own tags."""
        stacks = {*map(_find_stack, self.list_owners()), *(o.of_stack for o in self.find_scopes())}
        for stack in sorted(stacks, key=make_name):
            for scope in self._find_services(stack):
                yield Part(scope, make_name(scope), partial(self._remove_way, scope))
            yield Part(stack, make_name(stack), partial(self.remove_owner, stack))

    def _find_services(self, stack: Scope) -> Sequence[Scope]:
        """Return the services of a stack that tags name; what leads to them goes by these tags."""
        names = self._group_tags()
        found = {one: replace(stack, service=one.rpartition("-")[0]) for one in names}
        return [scope for name, scope in found.items() if make_name(scope) == name]

    def _remove_way(self, scope: Scope) -> None:
        """Remove what leads to a service without droplets, and is pointed by its tags.

        Raises:
            TrafficError: There are some, such as one that somebody has tagged by hand.
        """
        tags, address = {tag_live(scope), tag_service(scope)}, find_reserved(self.api, scope)
        there = [one for tag in tags for one in self.api.list("droplets", tag_name=tag)]
        names = {one["name"] for one in (*there, *list_holders(address))}
        refuse_leading(scope.service, [f"droplet {name}" for name in sorted(names)])
        for kind, word in WAYS.items():
            for one in self.api.list(kind):
                pointed = {one.get("tag"), *one.get("tags", ())}
                if one["name"] == make_name(scope) and tags & pointed:
                    self.api.delete(kind, **{word: one["id"]})
        if address:
            self.api.delete("reserved_ips", reserved_ip=address["ip"])
        self.fleets.groups.remove_tags(scope)


def _find_stack(owner: Owner) -> Scope:
    return Scope(owner.project, owner.stack)
