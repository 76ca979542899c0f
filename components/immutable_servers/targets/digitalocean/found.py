"""Finds what DigitalOcean has under a stack's names already: what a killed run made is adopted.

Names are computed and not unique at DigitalOcean: two things of one name would be two runs' at the
same time, and the first one is taken.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.ends import WINDOW
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.names import PREFIX, read_words, tag_service
from immutable_servers.targets.digitalocean.reserved import find_reserved


class Found:
    """A stack's things at DigitalOcean, each kind asked for once when it is first needed."""

    def __init__(self, scope: Scope, api: Api) -> None:
        self.scope, self.api = scope.of_stack, api
        self._droplets: dict[str, list[Any]] = {}

    @cached_property
    def _tags(self) -> set[str]:
        return {str(one["name"]) for one in self.api.list("tags")}

    def find_tag(self, name: str) -> str | None:
        """Return the id of a tag, which is its name."""
        return name if name in self._tags else None

    @cached_property
    def _balancers(self) -> Mapping[str, str]:
        return _index(self.api.list("load_balancers"))

    def find_balancer(self, name: str) -> str | None:
        """Return the id of a load balancer."""
        return self._balancers.get(name)

    @cached_property
    def _firewalls(self) -> Mapping[str, str]:
        return _index(self.api.list("firewalls"))

    def find_firewall(self, name: str) -> str | None:
        """Return the id of a firewall."""
        return self._firewalls.get(name)

    def find_reserved(self, scope: Scope) -> str | None:
        """Return the id of a service's reserved address, which is the address."""
        found = find_reserved(self.api, scope)
        return str(found["ip"]) if found else None

    def find_droplet(self, scope: Scope, name: str) -> str | None:
        """Return the id of a service's droplet."""
        return _index(self._list_droplets(scope)).get(name)

    def is_open(self, scope: Scope) -> bool:
        """Return whether droplets of a generation have a login window yet: they are not sealed."""
        words = (read_words(scope, one["tags"]) for one in self._list_droplets(scope))
        return any(f"{PREFIX}{WINDOW}" in one for one in words)

    def _list_droplets(self, scope: Scope) -> list[Any]:
        if scope.service not in self._droplets:
            droplets = self.api.list("droplets", tag_name=tag_service(scope))
            self._droplets[scope.service] = droplets
        return self._droplets[scope.service]


def _index(things: list[Any]) -> Mapping[str, str]:
    """Return ids by names; of things with one name the first one's."""
    return {one["name"]: str(one["id"]) for one in reversed(things)}
