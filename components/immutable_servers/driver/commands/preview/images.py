"""Describes for each image which version comes, and why it differs from what serves."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from immutable_servers.contract.images import Images
from immutable_servers.driver.commands.preview.models import Fate, ImagePreview
from immutable_servers.identity import explain_change
from immutable_servers.identity.commits import find_changes
from immutable_servers.identity.upstream_lock import LOCK_FILE
from immutable_servers.ledger.records import Record
from immutable_servers.planning.stack import StackPlan

UNREADABLE = "the old version's list of files cannot be read: its files may differ"


def preview_images(
    root: Path, planned: StackPlan, catalog: Images | None
) -> tuple[ImagePreview, ...]:
    """Return all images, parents before their children."""
    return tuple(_preview_image(root, planned, catalog, name) for name in planned.versions)


def _preview_image(
    root: Path, planned: StackPlan, catalog: Images | None, name: str
) -> ImagePreview:
    new = planned.versions[name]
    live = _find_live(planned, name)
    old = live.images[name] if live else ""
    why: Sequence[str] = ()
    if live is None:
        why = ("nothing of it serves yet",)
    elif old != new.version:
        manifest = _find_manifest(catalog, name, old)
        if manifest:
            why = explain_change(manifest, new.inputs)
        else:
            why = list(_explain_by_git(root, planned, name, live)) or [UNREADABLE]
    fate = cast("Fate", planned.find_fate(name))
    return ImagePreview(name=name, old=old, new=new.version, fate=fate, why=tuple(why))


def _find_live(planned: StackPlan, image: str) -> Record | None:
    """Return the live generation that runs an image; of several services' the newest."""
    live = [known.live for known in planned.known.values()]
    runs = [record for record in live if record and image in record.images]
    return max(runs, key=lambda record: record.order, default=None)


def _find_manifest(catalog: Images | None, name: str, version: str) -> Mapping[str, Any]:
    found = catalog.find(name, version, "") if catalog else None
    return catalog.find_manifest(found) if catalog and found else {}


def _explain_by_git(root: Path, planned: StackPlan, name: str, live: Record) -> Iterator[str]:
    """Yield what git says changed since the commit of the generation's first launch.

    A manifest says more: git knows neither what was not committed then, nor the variables.
    """
    inputs = planned.versions[name].inputs
    for path, word in find_changes(root, live.commit, inputs) or ():
        locked = path == f"packer/{name}/{LOCK_FILE}"
        yield f"{'lock: ' if locked else ''}{path} {word}"
    if inputs.parent and live.images.get(inputs.parent) != inputs.parent_version:
        old = live.images.get(inputs.parent, "none")
        yield f"parent {inputs.parent} {old} → {inputs.parent} {inputs.parent_version}"
