"""Turns what DigitalOcean refuses into our errors: what failed, what it said, what to do."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.faults import Faults, Refusal

GUIDE = "docs/how-to/digitalocean.md"
FAULTS = Faults("DigitalOcean", "regions", GUIDE, Path(__file__).with_suffix(".yaml"))
VERBS: Mapping[str, str] = {
    "get": "read",
    "list": "read",
    "create": "create",
    "assign_resources": "create",
    "delete": "delete",
    "destroy": "delete",
    "unassign_resources": "delete",
}
"""The word of a scope for what a call does; any other call updates."""
SAID: Mapping[str, str] = {
    r"(?i)can't be updated while it processes previous actions": "busy",
    r"(?i)already has a pending event": "pending",
    r"(?i)exceed your droplet limit": "droplet_limit",
    r"(?i)not available in (this|the selected) region": "not_in_region",
}
"""Refusals that share an id with others, told by DigitalOcean's words: a busy balancer is 403 as a
missing scope is. https://github.com/digitalocean/openapi/issues/1173"""


class DoError(Exception):
    """A refusal by DigitalOcean, or an action that ended so.

    Attributes:
        code: Its id, such as `not_found`, or ours for what its words tell.
        said: Its own words.
    """

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.said = said
        self.code = next((own for words, own in SAID.items() if re.search(words, said)), code)

    def is_one_of(self, codes: Sequence[str]) -> bool:
        """Return whether it is one of these refusals."""
        return self.code in codes


def explain(
    error: Exception, action: str, where: str, kind: type[ImmutableError]
) -> ImmutableError:
    """Return our error for a refusal, or for what the connection raised."""
    if isinstance(error, DoError):
        refusal = Refusal([error.code], error.said, action, where)
        if error.code == "forbidden" and "." in action:  # a call, and no bake
            return FAULTS.explain_denied(refusal, name_scope(action), "the token")
        return FAULTS.explain(refusal, kind)
    return FAULTS.explain(Refusal.of(error, action, where), kind)


def name_scope(operation: str) -> str:
    """Return the scope that a call needs, such as `tag:create` for `tags.assign_resources`.

    DigitalOcean's answer does not name it.
    https://docs.digitalocean.com/reference/api/scopes/
    """
    collection, _, method = operation.partition(".")
    kept = collection in ("account", "actions", "regions", "sizes")
    kind = collection if kept else collection.removesuffix("_actions").removesuffix("s")
    return f"{kind}:{VERBS.get(method, 'update')}"
