"""Explains which inputs differ between two versions of an image."""

from collections.abc import Iterator, Mapping
from typing import Any

from immutable_servers.identity.inputs import ImageInputs


def explain_change(old: Mapping[str, Any], new: ImageInputs) -> list[str]:
    """Return one line for each input that differs, such as `app/server.py changed`.

    Args:
        old: What `ImageInputs.to_plain` returned for the earlier version.
        new: The inputs now.
    """
    before = ImageInputs.from_plain(old)
    return [
        *_compare(f"packer/{new.image}/", before.template, new.template),
        *_explain_sources(before, new),
        *_compare("variable ", before.variables, new.variables),
        *_explain_parent(before, new),
        *_compare("lock: ", before.lock, new.lock),
        *_compare("", _describe_place(before), _describe_place(new)),
    ]


def _explain_sources(before: ImageInputs, new: ImageInputs) -> Iterator[str]:
    for name in sorted({*before.sources, *new.sources}):
        yield from _compare(f"{name}/", before.sources.get(name, {}), new.sources.get(name, {}))


def _explain_parent(before: ImageInputs, new: ImageInputs) -> Iterator[str]:
    old, now = _describe_parent(before), _describe_parent(new)
    if old != now:
        yield f"parent {old} → {now}"


def _describe_parent(inputs: ImageInputs) -> str:
    return f"{inputs.parent} {inputs.parent_version}" if inputs.parent else "none"


def _describe_place(inputs: ImageInputs) -> dict[str, str]:
    return {"target": inputs.target, "architecture": inputs.architecture}


def _compare(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        if key not in old:
            yield f"{prefix}{key} added"
        elif key not in new:
            yield f"{prefix}{key} removed"
        elif old[key] != new[key]:
            yield f"{prefix}{key} changed"
