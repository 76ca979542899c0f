"""Lays the settings of a stack over the defaults of all stacks."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.settings.problems import Problem, raise_problems

DEFAULTS = "defaults"
"""The key with what several stacks share; `Pulumi.yaml` holds it."""
BY_NAME = ("images", "services")
"""Sections whose entries may be empty: `base:` is `base: {}`."""


def merge_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values over their defaults, mapping by mapping; all else replaces its default.

    Raises:
        SettingsError: The defaults are no mapping.
    """
    defaults = values.get(DEFAULTS, {})
    if not isinstance(defaults, Mapping):
        raise_problems([Problem(DEFAULTS, "must be a mapping, with what a stack file may hold")])
    own = {key: _fill(key, value) for key, value in values.items() if key != DEFAULTS}
    merged: dict[str, Any] = _merge({key: _fill(key, defaults[key]) for key in defaults}, own)
    return merged


def _fill(section: str, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    if section in BY_NAME and isinstance(value, Mapping):
        return {name: {} if entry is None else entry for name, entry in value.items()}
    return value


def _merge(below: Any, above: Any) -> Any:  # noqa: ANN401 - any two values
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    both = {key: _merge(below[key], above[key]) for key in below if key in above}
    return {**below, **above, **both}
