"""Provides one image version: found in the catalog, or baked from a staged copy of its inputs."""

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from immutable_servers.contract.images import list_chain
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.identity import make_version
from immutable_servers.identity.commits import is_committed
from immutable_servers.identity.inputs import ImageInputs
from immutable_servers.images.archive import ARCHIVE
from immutable_servers.images.order import Order
from immutable_servers.images.outside import Outside, render_outside
from immutable_servers.images.packer import PackerRun, check_template
from immutable_servers.images.staging import stage_image, start_staging
from immutable_servers.images.template import find_variables, takes_outside
from immutable_servers.system.git import read_commit
from immutable_servers.system.places import cache_dir, logs_dir
from immutable_servers.targets.shared.bake_locks import hold_version


def provide_image(root: Path, order: Order, say: Say) -> Artifact | None:
    """Return the version's artifact; bake it when it is wanted and the catalog lacks it.

    Two runs that want the same version bake it once: the second waits, and finds it.

    Returns:
        None when the catalog lacks the version and this run does not need it.

    Raises:
        ImageError: The bake failed, or the checkout changed since the version was computed, or the
            catalog's artifact of this version has another digest; or it, or a parent, is revoked.
    """
    target = order.place.load()
    found = target.images.find(order.image, order.version, order.digest)
    if found:
        say("found")
    elif not order.wanted:
        say("not baked: nothing needs it in this run")
        return None
    else:
        with hold_version(order.place.target, order.image, order.version, say):
            found = target.images.find(order.image, order.version, order.digest)
            found = found or _bake(root, order, target, say)
    if order.wanted:
        what = f"Nothing is launched from image {order.image} {order.version}"
        target.images.refuse_revoked(what, list_chain(found))
    return found


def _bake(root: Path, order: Order, target: Target, say: Say) -> Artifact:
    began = time.monotonic()
    order = replace(order, parent=_find_parent(order, target))
    outside = render_outside(order.bake, root, os.environ)
    with start_staging(root, order) as folder:
        inputs = _stage(root, order, target, folder)
        log = logs_dir(root) / f"bake-{order.image}-{order.version}.log"
        request = BakeRequest(
            image=order.image,
            version=order.version,
            template=folder / "template",
            inputs=folder / ARCHIVE,
            parent=order.parent,
            lock=inputs.lock,
            variables=order.settings.variables,
            secrets={
                **order.secrets,
                **_choose_script(order, folder / "template", outside, say),
            },
            masked=outside.masked,
            lineage=describe_lineage(root, order, clean=_is_committed(root, inputs, order, target)),
            manifest=inputs.to_plain(),
            log=log,
            deadline=order.settings.deadline,
            say=say,
        )
        say(f"bakes, the full log is {log.relative_to(root)}")
        artifact = target.images.bake(request, PackerRun(request, needed=target.needs.variables))
    say(f"baked in {time.monotonic() - began:.0f} s")
    return artifact


def _choose_script(order: Order, template: Path, outside: Outside, say: Say) -> dict[str, str]:
    """Return what the setting `bake` hands to a template; say what it does not reach."""
    for note in outside.notes:
        say(note)
    if not outside.script:
        return {}
    taken = "bake" in find_variables(template)
    if not taken or not takes_outside(template):
        say(
            f"the setting `bake` reaches only scripts that packer/{order.image} runs with"
            " `execute_command = local.execute`"
        )
    return {"bake": outside.script} if taken else {}


def _find_parent(order: Order, target: Target) -> Artifact | None:
    """Return the parent as the catalog has it now, with its digest; None without one.

    Raises:
        ImageError: It is gone, has another digest, or is revoked.
    """
    given = order.parent
    if given is None:
        return None
    parent = target.images.find(given.image, given.version, given.digest)
    if parent is None:
        raise ImageError(
            f"The parent of image {order.image}, {given.id}, is not in the catalog any more",
            todo="Run the command again: it is baked first.",
        )
    what = f"Image {order.image} {order.version} is not baked"
    target.images.refuse_revoked(what, list_chain(parent))
    return replace(parent, digest=target.images.find_digest(parent))


def _stage(root: Path, order: Order, target: Target, folder: Path) -> ImageInputs:
    """Copy the inputs, and refuse them when they, or the parent, are not what was planned."""
    staged = stage_image(root, order.settings, order.image, target, order.parent, folder)
    made = make_version(staged, order.parent.digest if order.parent else "")
    if (made.version, made.digest) != (order.version, order.digest):
        raise ImageError(
            f"The inputs of image {order.image} changed while the run was under way",
            facts=[
                f"Planned: version {order.version}, digest {order.digest}",
                f"The checkout now: version {made.version}, digest {made.digest}",
            ],
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
    name = f"{target.name}-{order.image}-{order.digest}-{hashlib.sha256(source).hexdigest()[:12]}"
    cache = cache_dir() / "templates" / name
    if cache.exists():
        return
    template_only = order.settings.model_copy(update={"sources": ()})
    with start_staging(root, order) as folder:
        stage_image(root, template_only, order.image, target, None, folder)
        # The message names the checkout's folder: the copy is removed when somebody reads it.
        named = f"packer/{order.image}"
        check_template(
            folder / "template",
            order.settings.variables,
            cache=cache,
            named=named,
            needed=target.needs.variables,
        )


def _is_committed(root: Path, inputs: ImageInputs, order: Order, target: Target) -> bool:
    """Return whether the files of an image and of its parents are the commit's."""
    parents = order.parent.parents if order.parent else {}
    above = [order.parent, *(target.images.find(*parent, "") for parent in parents.items())]
    manifests = [target.images.find_manifest(parent) if parent else {} for parent in above]
    if order.parent and not all(manifests):
        return False
    chain = [ImageInputs.from_plain(manifest) for manifest in manifests if manifest]
    return is_committed(root, [inputs, *chain])


def describe_lineage(root: Path, order: Order, *, clean: bool) -> dict[str, Any]:
    """Return what the image holds about itself in `/etc/immutable/image.json`."""
    parents: dict[str, str] = {}
    if order.parent:
        parents = {order.parent.image: order.parent.version, **order.parent.parents}
    return {
        "image": order.image,
        "version": order.version,
        "digest": order.digest,
        "parents": parents,
        "commit": read_commit(root),
        "clean": clean,
        "baked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
