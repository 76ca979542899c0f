"""Makes what a machine boots with: its disk, its SSH host key and its launch data."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.errors import ImmutableError
from immutable_servers.system.files import write_whole
from immutable_servers.system.keys import make_key_pair
from immutable_servers.system.tools import run_tool
from immutable_servers.targets.local import layout

SMBIOS_LIMIT = 48_000
"""Bytes of launch data: all SMBIOS tables together hold 64 kB, and base64 adds a third."""


def make_overlay(folder: Path, artifact: str) -> None:
    """Make the machine's disk on the artifact's; nobody sees half a disk."""
    overlay = folder / "overlay.qcow2"
    if overlay.exists():
        return
    beside = folder / "overlay.part"
    beside.unlink(missing_ok=True)
    # Relative, so that the data folder can be moved as a whole.
    backing = os.path.relpath(
        layout.artifact_dir(artifact).resolve() / "disk.qcow2", folder.resolve()
    )
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", backing, str(beside)]
    run_tool(create, f"The disk of a machine could not be made on {artifact}")
    beside.replace(overlay)


def make_host_key(folder: Path, name: str) -> None:
    """Make the server's own SSH host key, once; its private half leaves only as a credential."""
    if (folder / "host-key.cred").exists():
        return
    private = folder / "host_key"
    make_key_pair(private, name)
    _write_credential(folder / "host-key.cred", "immutable.host-key", private.read_bytes())
    private.unlink()


def write_launch(folder: Path, launch: Mapping[str, Any]) -> None:
    """Write the launch data that a machine is handed.

    Raises:
        ImmutableError: It is larger than SMBIOS tables can hold.
    """
    _write_credential(folder / "launch.cred", "immutable.launch", json.dumps(launch).encode())


def read_launch(folder: Path) -> dict[str, Any]:
    """Return the launch data that a machine was handed; empty when it was handed none."""
    try:
        text = (folder / "launch.cred").read_text()
    except FileNotFoundError:
        return {}
    handed: dict[str, Any] = json.loads(base64.b64decode(text.partition("=")[2]))
    return handed


def _write_credential(path: Path, name: str, value: bytes) -> None:
    """Write one SMBIOS string that systemd in the guest takes as a credential.

    Raises:
        ImmutableError: It is larger than SMBIOS tables can hold.
    """
    if len(value) > SMBIOS_LIMIT:
        raise ImmutableError(
            f"The launch data is too large for a server on local: {len(value)} bytes",
            facts=[f"At most {SMBIOS_LIMIT} bytes fit."],
            todo="Make the service's env smaller.",
        )
    text = base64.b64encode(value).decode()
    write_whole(path, f"io.systemd.credential.binary:{name}={text}", mode=0o600)
