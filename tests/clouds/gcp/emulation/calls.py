"""Calls of the APIs: what one asks for, what it is about, and who answers which."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouds.gcp.emulation.documents import Method
from clouds.gcp.emulation.links import make_link

if TYPE_CHECKING:
    from clouds.gcp.emulation.world import World

STRANGERS = ("immutable-servers", "pulumi", "Pulumi", "Terraform", "Packer", "packer")
"""Whose calls are not a test's own, by a word of the user agent."""


@dataclass(frozen=True)
class Call:
    """One call of the API that was checked against its document.

    Attributes:
        method: What is asked for.
        parameters: Those of path and query, the last of each.
        path: What the call is about: `projects/p/global/urlMaps/web`.
        asked: The query's parameters, all of each.
        body: The request's.
        version: Of the Compute API: `v1` or `beta`.
        agent: Who asks.
        number: How many calls there have been.
    """

    method: Method
    parameters: Mapping[str, str]
    path: str
    asked: Mapping[str, Sequence[str]]
    body: dict[str, Any]
    version: str
    agent: str
    number: int

    @property
    def project(self) -> str:
        """The project's name."""
        return self.path.split("/")[1] if self.path.startswith("projects/") else ""

    def all(self, name: str) -> Sequence[str]:
        """Return every value of a parameter that may be there several times."""
        return self.asked.get(name, [])

    @property
    def is_strange(self) -> bool:
        """Whether it meets the cloud's manners; a test itself sees what is."""
        return any(word in self.agent for word in STRANGERS)

    @property
    def name(self) -> str:
        """The last word of the path."""
        return self.path.rpartition("/")[2]


Handler = Callable[["World", Call], dict[str, Any]]
HANDLERS: dict[str, Handler] = {}
"""Who answers which method, by its name."""


def answers(*methods: str) -> Callable[[Handler], Handler]:
    """Have a function answer methods, such as `compute.urlMaps.validate`; it holds the lock."""

    def take(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(methods, handler))
        return handler

    return take


def find_place(path: str) -> str:
    """Return project and location of a path: `projects/p/zones/z`, or `projects/p/global`."""
    found = re.match(r"projects/[^/]+/(?:global|zones/[^/]+|regions/[^/]+)", path)
    return found[0] if found else "/".join(path.split("/")[:2]) + "/global"


def locate(place: str) -> dict[str, str]:
    """Return what a thing says of its zone or region; nothing of a global one."""
    words = place.split("/")
    return {words[2][:-1]: make_link(place)} if words[2] in {"zones", "regions"} else {}
