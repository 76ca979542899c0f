"""Finds what DigitalOcean has under a stack's names already: what a killed run made is adopted.

Names are computed and not unique at DigitalOcean: two things of one name would be two runs' at the
same time, and the first one is taken.
"""

from functools import cache

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.ends import WINDOW
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.names import PREFIX, read_words, tag_service
from immutable_servers.targets.digitalocean.reserved import find_reserved


class Found:
    """A stack's things at DigitalOcean, each kind asked for once when it is first needed."""

    def __init__(self, api: Api) -> None:
        self.api, self._list = api, cache(api.list)

    def find(self, collection: str, name: str, **words: str) -> str | None:
        """Return the id of a thing of pydo's collection; a tag's is its name."""
        found = (one for one in self._list(collection, **words) if one["name"] == name)
        return next((str(one.get("id", name)) for one in found), None)

    def find_reserved(self, scope: Scope) -> str | None:
        """Return the id of a service's reserved address, which is the address."""
        found = find_reserved(self.api, scope)
        return str(found["ip"]) if found else None

    def find_droplet(self, scope: Scope, name: str) -> str | None:
        """Return the id of a service's droplet."""
        return self.find("droplets", name, tag_name=tag_service(scope))

    def is_open(self, scope: Scope) -> bool:
        """Return whether droplets of a generation have a login window yet: they are not sealed."""
        droplets = self._list("droplets", tag_name=tag_service(scope))
        words = (read_words(scope, one["tags"]) for one in droplets)
        return any(f"{PREFIX}{WINDOW}" in one for one in words)
