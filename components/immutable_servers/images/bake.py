"""Provides one image version: found in the catalog, or baked from a staged copy of its inputs."""

import hashlib
import time
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.identity import compute_version
from immutable_servers.identity.inputs import ImageInputs
from immutable_servers.images.order import Order
from immutable_servers.images.packer import PackerRun, check_template
from immutable_servers.images.staging import stage_image, start_staging
from immutable_servers.system.git import read_commit
from immutable_servers.system.places import cache_dir, logs_dir
from immutable_servers.targets.shared.bake_locks import hold_version


def provide_image(root: Path, order: Order, say: Say) -> Artifact | None:
    """Return the version's artifact; bake it when it is wanted and the catalog lacks it.

    Two runs that want the same version bake it once: the second waits, and finds it.

    Returns:
        None when the catalog lacks the version and this run does not need it.

    Raises:
        ImageError: The bake failed, or the checkout changed since the version was computed.
    """
    target = order.place.load()
    found = target.images.find(order.image, order.version)
    if found:
        say("found")
        return found
    if not order.wanted:
        say("not baked: nothing needs it in this run")
        return None
    with hold_version(order.place.target, order.image, order.version, say):
        return target.images.find(order.image, order.version) or _bake(root, order, target, say)


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
        artifact = target.images.bake(request, PackerRun(request))
    say(f"baked in {time.monotonic() - began:.0f} s")
    return artifact


def _stage(root: Path, order: Order, target: Target, folder: Path) -> ImageInputs:
    """Copy the inputs, and refuse them when they are not of the planned version."""
    staged = stage_image(root, order.settings, order.image, target, order.parent, folder)
    version = compute_version(staged)
    if version != order.version:
        raise ImageError(
            f"The inputs of image {order.image} changed while the run was under way",
            facts=[f"Planned: version {order.version}", f"The checkout now: version {version}"],
            todo="Run the command again when nobody is editing the files.",
        )
    return staged


def check_image(root: Path, order: Order) -> None:
    """Let Packer check the template, so that a preview finds its mistakes.

    It does so once for each version with the same source of the target.

    Raises:
        ImageError: With Packer's own message and line.
    """
    target = order.place.load()
    source = target.packer_source.read_bytes() if target.packer_source else b""
    name = f"{target.name}-{order.image}-{order.version}-{hashlib.sha256(source).hexdigest()[:12]}"
    cache = cache_dir() / "templates" / name
    if cache.exists():
        return
    template_only = order.settings.model_copy(update={"sources": ()})
    with start_staging(root, order) as folder:
        stage_image(root, template_only, order.image, target, None, folder)
        # The message names the checkout's folder: the copy is removed when somebody reads it.
        named = f"packer/{order.image}"
        check_template(folder / "template", order.settings.variables, cache=cache, named=named)


def describe_lineage(root: Path, order: Order) -> dict[str, Any]:
    """Return what the image holds about itself in `/etc/immutable/image.json`."""
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
