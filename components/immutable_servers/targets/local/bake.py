"""Bakes one image version in a QEMU guest and keeps it as a folder: disk, kernel, initrd, facts."""

import base64
import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import BakeRequest
from immutable_servers.system import places
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.files import write_whole
from immutable_servers.system.half_folders import start_half
from immutable_servers.targets.local import layout, qemu, walled_qemu
from immutable_servers.targets.local.artifacts import (
    DISK,
    FACTS,
    FILES,
    INITRD,
    KERNEL,
    MANIFEST,
    describe_parent,
    verify_artifact,
)
from immutable_servers.targets.local.bake_watch import BakeWatch
from immutable_servers.targets.local.checksums import write_checksums
from immutable_servers.targets.local.machines import render_start
from immutable_servers.targets.local.qcow2 import flatten_disk, set_backing_file
from immutable_servers.targets.local.qemu import ARCHITECTURE, EMULATION_ARGS, KERNEL_ARGS
from immutable_servers.targets.local.servers import choose_accelerator
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.local.upstream import provide_upstream
from immutable_servers.targets.shared.launch_data import describe_bake, render_launch
from immutable_servers.targets.shared.login_keys import KEY, make_key


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


def bake_image(request: BakeRequest, packer: Packer, settings: LocalSettings) -> None:
    """Bake a version into its folder; leave nothing of a bake that failed.

    Raises:
        ImageError: The disk is nearly full, what it starts from is damaged, or Packer failed.
    """
    began = time.monotonic()
    start = _find_start(request)
    accelerator = choose_accelerator(start.folder / KERNEL, settings)
    lineage = {**request.lineage, "archives": dict(start.archives)}
    left = request.deadline - (time.monotonic() - began)
    with start_half(layout.images_dir() / request.image / request.version) as half:
        with (
            _start_login(half, request, left) as login,
            _start_programs(half, settings) as programs,
        ):
            variables = _render_variables(start.folder, login, accelerator, half / "output")
            packer.build(
                {**variables, "lineage": json.dumps(lineage, sort_keys=True)},
                BakeWatch(half),
                programs,
            )
        _finish(request, start.folder, half, lineage)


def _find_start(request: BakeRequest) -> Start:
    """Return what the guest starts from: the parent's artifact, or the lock's upstream disk."""
    if request.parent:
        verify_artifact(layout.images_dir(), request.parent.id)
        return Start(layout.artifact_dir(request.parent.id), {})
    upstream = provide_upstream(
        layout.images_dir().parent / "upstream",
        request.lock,
        ARCHITECTURE,
        log=request.log,
        deadline=request.deadline,
        say=request.say,
    )
    return Start(upstream.folder, upstream.archives)


def _render_variables(start: Path, login: _Login, accelerator: str, output: Path) -> dict[str, str]:
    """Return the variables that `source.pkr.hcl` declares."""
    emulated = [EMULATION_ARGS] if accelerator == "tcg" else []
    return {
        "disk": str((start / DISK).resolve()),
        "kernel": str(start / KERNEL),
        "initrd": str(start / INITRD),
        "kernel_args": " ".join([KERNEL_ARGS, *emulated]),
        "credentials": json.dumps([str(file) for file in login.credentials]),
        "login": str(login.key),
        "accelerator": accelerator,
        "output": str(output),
        "console": walled_qemu.CONSOLE,
    }


@contextmanager
def _start_login(half: Path, request: BakeRequest, seconds: float) -> Iterator[_Login]:
    """Yield a login that lives as long as the bake, in a folder that only this user can read.

    A parent's guest is sealed, so it is handed launch data with an open window; an upstream guest
    takes systemd's own credential (systemd.system-credentials(7)).
    """
    folder = places.runtime_dir(half)
    credential = folder / "credential"
    try:
        public = make_key(folder, "bake")
        name, content = (
            ("immutable.launch", render_launch(describe_bake(request.version, public, seconds)))
            if request.parent
            else ("ssh.authorized_keys.root", public)
        )
        encoded = base64.b64encode(content.encode()).decode()
        text = f"io.systemd.credential.binary:{name}={encoded}"
        write_whole(credential, text, mode=0o600)
        yield _Login(folder / KEY, (credential,))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _start_programs(half: Path, settings: LocalSettings) -> Iterator[Path]:
    """Yield a folder with a QEMU of ours, which Packer finds before the machine's own.

    So no template can bake in a guest that reaches this machine, nor forget QEMU's sandbox. It lies
    beside what is baked, as folders for sockets may hold no programs.
    """
    folder = half / "programs"
    folder.mkdir()
    start = render_start("start", places.runtime_dir(half), settings.list_neighbours())
    plain = [f"{name}={value}" for name, value in make_daemon_environment().items()]
    program = folder / qemu.EMULATOR
    program.write_text(f'#!/bin/sh\nexec env -i {shlex.join([*plain, *start])} "$@"\n')
    program.chmod(0o700)
    yield folder
    shutil.rmtree(folder)  # After a failure the whole half goes.


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
    parent = describe_parent(layout.images_dir(), request.parent.id) if request.parent else {}
    write_checksums(half, FILES, parent)


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
