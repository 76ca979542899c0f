"""Bakes one image version in a QEMU guest and keeps it as a folder: disk, kernel, initrd, facts."""

import base64
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Packer
from immutable_servers.contract.values import Artifact, BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.system.files import write_whole
from immutable_servers.system.half_folders import start_half
from immutable_servers.system.keys import make_key_pair
from immutable_servers.targets.local.artifacts import (
    DISK,
    FACTS,
    FILES,
    INITRD,
    KERNEL,
    MANIFEST,
    LocalCatalog,
    verify_artifact,
)
from immutable_servers.targets.local.bake_watch import watch_bake
from immutable_servers.targets.local.checksums import write_checksums
from immutable_servers.targets.local.qcow2 import flatten_disk, set_backing_file
from immutable_servers.targets.local.qemu import EMULATION_ARGS, KERNEL_ARGS
from immutable_servers.targets.local.upstream import provide_upstream


@dataclass(frozen=True)
class Start:
    """What a guest starts from.

    Attributes:
        folder: Holds disk, kernel and initrd.
        archives: Digests of the archive it was made from; empty for an image with a parent.
    """

    folder: Path
    archives: Mapping[str, str]


@dataclass(frozen=True)
class _Login:
    """How Packer gets into the guest: a key of this bake alone, in a private folder."""

    key: Path
    credentials: tuple[Path, ...]


def bake_image(
    request: BakeRequest, packer: Packer, images_dir: Path, accelerator: str
) -> Artifact:
    """Bake a version and return its whole artifact; nothing is left of a bake that failed.

    Args:
        request: What to bake.
        packer: Runs Packer on the request's template.
        images_dir: The folder of all images.
        accelerator: `kvm` or `tcg`.

    Raises:
        ImageError: The disk is nearly full, what it starts from is damaged, or Packer failed.
    """
    began = time.monotonic()
    start = _find_start(request, images_dir)
    lineage = {**request.lineage, "archives": dict(start.archives)}
    left = request.deadline - (time.monotonic() - began)
    with start_half(images_dir / request.image / request.version) as half:
        with _start_login(half, request, left) as login:
            variables = _render_variables(start.folder, half, login, accelerator)
            packer.build(
                {**variables, "lineage": json.dumps(lineage, sort_keys=True)},
                partial(watch_bake, half),
            )
        _finish(request, start.folder, half, lineage)
    artifact = LocalCatalog(images_dir).find(request.image, request.version)
    if artifact is None:
        raise ImageError(
            f"The bake of image {request.image} left no whole artifact",
            facts=[f"Folder: {images_dir / request.image / request.version}"],
            todo="Run the same command again; its parent may have been deleted meanwhile.",
        )
    return artifact


def _find_start(request: BakeRequest, images_dir: Path) -> Start:
    """Return what the guest starts from: the parent's artifact, or the lock's upstream disk."""
    if request.parent:
        verify_artifact(images_dir, request.parent.id)
        return Start(images_dir / request.parent.id, {})
    upstream = provide_upstream(
        images_dir.parent / "upstream",
        request.lock,
        platform.machine(),
        log=request.log,
        deadline=request.deadline,
        say=request.say,
    )
    return Start(upstream.folder, upstream.archives)


def _render_variables(start: Path, half: Path, login: _Login, accelerator: str) -> dict[str, str]:
    """Return the variables that `local.pkr.hcl` declares."""
    emulated = [EMULATION_ARGS] if accelerator == "tcg" else []
    return {
        "disk": str((start / DISK).resolve()),
        "kernel": str(start / KERNEL),
        "initrd": str(start / INITRD),
        "kernel_args": " ".join([KERNEL_ARGS, *emulated]),
        "credentials": json.dumps([str(file) for file in login.credentials]),
        "login": str(login.key),
        "accelerator": accelerator,
        "output": str(half / "output"),
        "console": str(places.runtime_dir(half) / "console.log"),
    }


@contextmanager
def _start_login(half: Path, request: BakeRequest, seconds: float) -> Iterator[_Login]:
    """Yield a login that lives as long as the bake, in a folder that only this user can read.

    A parent's guest is sealed, so it is handed launch data with an open window; an upstream guest
    takes systemd's own credential (systemd.system-credentials(7)).
    """
    folder = places.runtime_dir(half)
    key, credential = folder / "key", folder / "credential"
    try:
        public = make_key_pair(key, "bake")
        launch = {"server": "bake", "login_key": public, "window_ends": int(time.time() + seconds)}
        name, content = (
            ("immutable.launch", json.dumps(launch))
            if request.parent
            else ("ssh.authorized_keys.root", public)
        )
        encoded = base64.b64encode(content.encode()).decode()
        text = f"io.systemd.credential.binary:{name}={encoded}"
        write_whole(credential, text, mode=0o600)
        yield _Login(key, (credential,))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(request: BakeRequest, start: Path, half: Path, lineage: Mapping[str, Any]) -> None:
    """Make the half folder whole: disk, kernel, initrd, facts, manifest, checksums."""
    baked = half / "output" / DISK
    if request.parent:
        baked.rename(half / DISK)
        set_backing_file(half / DISK, f"../../{request.parent.id}/{DISK}")
    else:
        request.say("makes one disk of the upstream's and what was changed")
        flatten_disk(baked, half / DISK)
        baked.unlink()
    (half / "output").rmdir()
    for name in (KERNEL, INITRD):
        # The kernel is held at the upstream's; an image on top of another boots the same one.
        os.link(start / name, half / name)
    _write_json(half / FACTS, lineage)
    _write_json(half / MANIFEST, request.manifest)
    write_checksums(half, FILES)


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
