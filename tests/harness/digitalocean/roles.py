"""The scopes of a token, held against the calls that were really made.

https://docs.digitalocean.com/reference/api/scopes/
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.targets.digitalocean.readiness import ROLES, read_scopes

CALLERS = re.compile("immutable-servers|pulumi|terraform|packer", re.IGNORECASE)
"""Who of the journal needs a scope, by the user agent: our code, the plugin, Packer; no test."""


def find_needed(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the scopes that calls needed, each with one that needed it."""
    return {
        scope: event["call"]
        for event in events
        if event["event"] == "api" and CALLERS.search(event["agent"])
        for scope in event["needs"]
    }


def find_refused(events: Sequence[Mapping[str, Any]], *names: str) -> set[str]:
    """Return the scopes that tokens lack, by default those of whoever deploys.

    Each is the scope with a call that needed it.
    """
    given = {one for name in names or ROLES for one in read_scopes(name)}
    needed = find_needed(events)
    return {f"{one} for {call}" for one, call in needed.items() if one not in given}
