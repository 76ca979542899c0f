"""Provides one image version: found in the catalog, or baked from a staged copy of its inputs."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from immutable_servers.errors import ImageError
from immutable_servers.git import read_commit
from immutable_servers.identity import compute_version, stage_image
from immutable_servers.identity.inputs import ImageInputs
from immutable_servers.images.locks import hold_version
from immutable_servers.images.order import Order
from immutable_servers.images.packer import PackerRun, check_template
from immutable_servers.places import PROJECT_FOLDER, cache_dir, logs_dir
from immutable_servers.supervisor import read_stat
from immutable_servers.targets.contract import Target
from immutable_servers.targets.values import Artifact, BakeRequest, Say


def provide_image(root: Path, order: Order, say: Say) -> Artifact | None:
    """Return the version's artifact, baking it when it is wanted and nowhere found.

    Two runs that want one version bake it once: the second waits, and finds it.

    Returns:
        None when the catalog lacks the version and this run does not need it.

    Raises:
        ImageError: The bake failed, or the tree changed since the version was computed.
    """
    target = order.place.load()
    found = target.catalog.find(order.image, order.version)
    if found:
        say("found")
        return found
    if not order.wanted:
        say("not baked: nothing needs it in this run")
        return None
    with hold_version(order.place.target, order.image, order.version, say):
        return target.catalog.find(order.image, order.version) or _bake(root, order, target, say)


def _bake(root: Path, order: Order, target: Target, say: Say) -> Artifact:
    began = time.monotonic()
    with start_staging(root, order) as folder:
        inputs = _stage(root, order, target, folder)
        log = logs_dir(root) / f"bake-{order.image}-{order.version}.log"
        request = BakeRequest(
            image=order.image,
            version=order.version,
            template=folder / "template",
            sources=folder / "sources",
            parent=order.parent,
            lock=inputs.lock,
            variables=order.settings.variables,
            secrets=order.secrets,
            lineage=describe_lineage(root, order),
            manifest=inputs.to_plain(),
            log=log,
            deadline=order.settings.deadline,
            say=say,
        )
        say(f"bakes, the full log is {log.relative_to(root)}")
        artifact = target.bake(request, PackerRun(request))
    say(f"baked in {time.monotonic() - began:.0f} s")
    return artifact


def _stage(root: Path, order: Order, target: Target, folder: Path) -> ImageInputs:
    """Copy the inputs and prove that they are those of the planned version."""
    staged = stage_image(root, order.settings, order.image, target, order.parent, folder)
    version = compute_version(staged)
    if version != order.version:
        raise ImageError(
            f"The inputs of image {order.image} changed while the run was under way",
            facts=[f"Planned was version {order.version}.", f"The tree now gives {version}."],
            todo="Run the command again when nobody is editing the files.",
        )
    return staged


def check_image(root: Path, order: Order) -> None:
    """Have Packer read the template, once for each version, so that a preview fails for its faults.

    Raises:
        ImageError: With Packer's own message and line.
    """
    cache = cache_dir() / "templates" / f"{order.place.target}-{order.image}-{order.version}"
    if cache.exists():
        return
    template_only = order.settings.model_copy(update={"sources": ()})
    with start_staging(root, order) as folder:
        stage_image(root, template_only, order.image, order.place.load(), None, folder)
        named = f"packer/{order.image}"  # the copy is gone when somebody reads of it
        check_template(folder / "template", order.settings.variables, cache=cache, named=named)


@contextmanager
def start_staging(root: Path, order: Order) -> Iterator[Path]:
    """Yield an empty folder for the copy of the inputs; it goes at the end.

    Its name says who made it, so that what a killed run has left is removed by the next one.
    """
    parent = root / PROJECT_FOLDER / "bakes"
    parent.mkdir(parents=True, exist_ok=True)
    remove_left_stagings(root)
    stat = read_stat(os.getpid())
    name = f"{order.image}-{order.version}.{os.getpid()}.{stat.started if stat else 0}."
    with tempfile.TemporaryDirectory(prefix=name, dir=parent) as folder:
        yield Path(folder)


def remove_left_stagings(root: Path) -> None:
    """Remove the copies that runs which are gone have left in a project."""
    for left in find_left_stagings(root):
        shutil.rmtree(left, ignore_errors=True)


def find_left_stagings(root: Path) -> list[Path]:
    """Return the copies of inputs whose runs are gone; none where there is no `/proc` to ask."""
    found: list[Path] = []
    if read_stat(os.getpid()) is None:
        return found
    for folder in sorted((root / PROJECT_FOLDER / "bakes").glob("*.*.*.*")):
        _, pid, started, _ = folder.name.rsplit(".", 3)
        if pid.isdigit() and started.isdigit():
            stat = read_stat(int(pid))
            if stat is None or stat.started != int(started):
                found.append(folder)
    return found


def describe_lineage(root: Path, order: Order) -> dict[str, Any]:
    """Return what the image will say of itself in `/etc/immutable/image.json`."""
    commit = read_commit(root)
    parents: dict[str, str] = {}
    if order.parent:
        parents = {order.parent.image: order.parent.version, **order.parent.parents}
    return {
        "image": order.image,
        "version": order.version,
        "parents": parents,
        "commit": commit.id,
        "clean": commit.clean,
        "baked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
