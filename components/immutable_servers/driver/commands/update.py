"""`update`: looks for newer versions of what images start from, and writes the locks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.driver.opened import Opened, require_image
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_upstream_parts
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError
from immutable_servers.identity.upstream_lock import LOCK_FILE, read_lock, write_lock
from immutable_servers.settings import Settings

OLD = timedelta(days=30)
"""`status` notes a lock that is older than this."""


def run_update(stack: Opened, image: str, *, rebuild: bool, yes: bool) -> int:
    """Write the lock of one image, or of all with an upstream; print what changed."""
    settings = stack.settings
    install_missing(list_upstream_parts(settings.target), yes=yes)
    changed = False
    for name in _choose(settings, image, rebuild=rebuild):
        lines = list(update_lock(stack.root, name, settings, stack.target, rebuild=rebuild))
        changed = changed or bool(lines)
        for line in lines or ["nothing newer"]:
            console.show(f"{name}: {line}")
    if changed:
        console.say(
            f"Commit packer/*/{LOCK_FILE}; the next `./immutable up {stack.name}` bakes anew."
        )
    return 0


def _choose(settings: Settings, image: str, *, rebuild: bool) -> Sequence[str]:
    """Return the images whose locks are written.

    Raises:
        SettingsError: There is no such image, or it starts from its parent alone.
    """
    roots = [name for name, found in settings.images.items() if found.parent is None]
    if not image:
        return roots
    require_image(image, settings.images)
    if image not in roots and not rebuild:
        raise SettingsError(
            f"Image {image} starts from its parent and has no upstream of its own",
            todo=f"Update {settings.images[image].parent}, or bake it anew with --rebuild.",
        )
    return [image]


def update_lock(
    root: Path, image: str, settings: Settings, target: Target, *, rebuild: bool
) -> Iterator[str]:
    """Write one lock; yield what changed of it."""
    template = root / "packer" / image
    old = new = read_lock(template)
    if rebuild:
        new = new.with_rebuild()
        yield f"rebuild {old.rebuild} -> {new.rebuild}"
    plain = settings.images[image].to_plain()
    if settings.images[image].parent is None:
        before = old.entries.get(target.name, {}).get(target.architecture, {})
        entry = target.images.find_upstream(
            plain, before, lambda line: console.say(f"{image}: {line}")
        )
        new = new.with_entry(target.name, target.architecture, entry, datetime.now(UTC))
        yield from compare(before, entry)
    if new != old:
        write_lock(template, new)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each value that differs between two entries."""
    for key in sorted({*before, *after}):
        held, found = before.get(key), after.get(key)
        if isinstance(found, Mapping):
            there = held if isinstance(held, Mapping) else {}
            yield from (f"{key} {line}" for line in compare(there, found))
        elif held != found:
            yield f"{key} {before.get(key, 'not set')} -> {after.get(key, 'not set')}"
