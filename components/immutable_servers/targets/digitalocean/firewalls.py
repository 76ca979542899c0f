"""Opens generations and probes to a verifier, by a firewall for each while its window is open.

What firewalls let in adds up: a service's constant one stays, by which a generation's droplets are
never without any. A firewall says by its tags whose droplets it is for, whose it is and until when.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.ends import PROBE, WINDOW, Thing
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.names import (
    PREFIX,
    PROBING,
    SCOPE,
    read_whose,
    read_words,
)

SSH_PORT = 22
ANYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}
OUTWARD = [
    {"protocol": one, "ports": ports, "destinations": ANYWHERE}
    for one, ports in (("tcp", "all"), ("udp", "all"), ("icmp", "0"))
]


class Firewalls:
    """The firewalls of login windows."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the windows of a scope, of any of a stack, or of all for an empty one."""
        return [
            Thing(one["name"], {**words, WINDOW: words[end]})
            for one in self.api.list("firewalls")
            for whose, end in ((SCOPE, WINDOW), (PROBING, PROBE))
            if end in (words := read_ours(one["tags"], scope, whose))
        ]

    def open(self, name: str, tags: Sequence[str], sources: Sequence[str], *ports: int) -> None:
        """Let sources in to TCP ports of droplets with one of some tags, and no others as before.

        Tags that are not there yet are made: a droplet that comes with one is never without it.
        """
        who = {"addresses": [*sources]}
        rules = [{"protocol": "tcp", "ports": str(port), "sources": who} for port in ports]
        body = {"name": name, "tags": [*tags], "inbound_rules": rules, "outbound_rules": OUTWARD}
        found = self.api.find_named("firewalls", name)
        if found is None:
            for tag in tags:
                self.api.call("tags.create", body={"name": tag})
            self.api.call("firewalls.create", body=body)
        elif _read_rules(found) != _read_rules(body) or {*found["tags"]} != {*tags}:
            self.api.call("firewalls.update", firewall_id=found["id"], body=body)

    def remove(self, name: str) -> None:
        """Remove a firewall by its name; a missing one is no error."""
        if found := self.api.find_named("firewalls", name):
            self.api.delete("firewalls", firewall_id=found["id"])


def read_ours(tags: Sequence[str], scope: Scope, word: str) -> Mapping[str, str]:
    """Return our words of a thing that is a scope's; nothing when it is another's, or nobody's."""
    whose = read_whose(tags, word)
    parts = vars(scope).items()
    if whose is None or any(value not in ("", getattr(whose, part)) for part, value in parts):
        return {}
    return {key.removeprefix(PREFIX): said for key, said in read_words(whose, tags).items()}


def _read_rules(firewall: Mapping[str, Any]) -> Sequence[tuple[str, Sequence[str]]]:
    """Return who is let in to which ports."""
    rules = firewall["inbound_rules"]
    return sorted((one["ports"], sorted(one["sources"].get("addresses") or ())) for one in rules)
