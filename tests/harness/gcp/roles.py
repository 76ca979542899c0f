"""The gcp target's roles, held against the calls that were really made."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.targets.gcp.roles import read_permissions

CALLERS = re.compile("immutable-servers|pulumi|terraform|packer", re.IGNORECASE)
"""Who of the journal needs a role, by the user agent: our code, the plugin, Packer; no test."""
ROLES = ("preview", "bake", "deploy")
"""The roles of whoever deploys."""


def find_needed(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the permissions that calls needed, each with one that needed it."""
    return {
        permission: event["call"]
        for event in events
        if event["event"] == "api" and CALLERS.search(event["agent"])
        for permission in event["needs"]
    }


def find_refused(events: Sequence[Mapping[str, Any]], *names: str) -> set[str]:
    """Return the permissions that roles lack, by default those of whoever deploys.

    Each is the permission with a call that needed it.
    """
    given = {one for name in names or ROLES for one in read_permissions(name)}
    needed = find_needed(events)
    return {f"{one} for {call}" for one, call in needed.items() if one not in given}
