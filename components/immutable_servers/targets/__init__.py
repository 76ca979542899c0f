"""The table of targets: equal siblings, each loaded only by a stack that runs on it."""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.errors import SettingsError

TARGETS: Mapping[str, str] = {
    "aws": "immutable_servers.targets.aws:AwsTarget",
    "digitalocean": "immutable_servers.targets.digitalocean:DoTarget",
    "gcp": "immutable_servers.targets.gcp:GcpTarget",
    "local": "immutable_servers.targets.local:LocalTarget",
}
"""Target name to `module:class`. Other packages add theirs as entry points of the group
`immutable_servers.targets`."""

ENTRY_POINTS = "immutable_servers.targets"
OWN_TARGETS = frozenset(TARGETS)
"""Targets of this project: a stack file may hold a section for each, which only its own stacks
read."""
DEFAULT_TARGET = "local"
"""The target that is looked at where no stack file names one."""


@cache
def find_target_class(name: str) -> type[Target]:
    """Return a target's class without making one.

    Raises:
        SettingsError: No target has this name.
    """
    place = TARGETS.get(name)
    if place is None:
        known = list_targets()
        place = known.get(name)
        if place is None:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise SettingsError(
                f"There is no target {name!r}",
                facts=[f"Known targets: {', '.join(known)}"],
                todo=f"{hint}Set immutable-servers:target in the stack file.",
            )
    module, _, attribute = place.partition(":")
    found: type[Target] = getattr(importlib.import_module(module), attribute)
    return found


def list_targets() -> Mapping[str, str]:
    """Return `module:class` by the name of each target, those of other packages too."""
    plugins = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return dict(sorted({**plugins, **TARGETS}.items()))


def load_target(name: str, settings: Mapping[str, Any]) -> Target:
    """Make the target `name` from its plain settings."""
    return find_target_class(name)(settings)
