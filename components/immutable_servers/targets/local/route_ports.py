"""Refuses a route's port that the stack's balancer cannot have, and says who has it.

All stacks of this user are known by the files of their balancers. A balancer that does not run, as
after a restart of the machine, keeps its ports: its next update starts it there.
"""

import os
import shutil
import struct
from collections.abc import Collection
from pathlib import Path

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError, SettingsError, TrafficError
from immutable_servers.system.files import read_json
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.ports import (
    LOOPBACK,
    find_first_free_for_all,
    find_listener,
    is_free,
    is_listened_on,
    is_privileged,
)

PARTS = "balancer.json"
"""What a balancer was made of, in its folder."""
_BIND = 1 << 10
"""CAP_NET_BIND_SERVICE (capabilities(7)) in the first word of a set."""


def refuse_taken(ports: Collection[int], folder: Path) -> None:
    """Refuse ports that the balancer in a folder does not listen on yet and cannot have.

    Raises:
        SettingsError: Another stack has one, or this user may not listen on it.
        TrafficError: Another process listens on one.
    """
    for port in sorted(ports):
        holder = find_stack(port, folder)
        if holder:
            raise _make_held(port, holder, Scope(folder.parents[1].name, folder.parent.name))
        if is_privileged(port) and not _can_bind_any():
            raise _make_privileged(port)
        if is_listened_on(port) if is_privileged(port) else not is_free(port):
            raise _make_in_use(port)


def find_stack(port: int, folder: Path) -> Scope | None:
    """Return the stack, other than the one whose balancer lies in a folder, that has a port."""
    for file in sorted(layout.stacks_dir().glob(f"*/*/{layout.BALANCER}/{PARTS}")):
        if file.parent != folder and port in _read_ports(file):
            return Scope(file.parents[2].name, file.parents[1].name)
    return None


def _read_ports(file: Path) -> set[int]:
    try:
        return {int(route["port"]) for route in (read_json(file) or {})["routes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # what cannot be read holds no port that anybody could name


def _make_held(port: int, holder: Scope, ours: Scope) -> SettingsError:
    plain = read_json(layout.owner_file(holder))
    checkout = Owner.from_plain(plain).checkout if plain else "a checkout that nobody recorded"
    return SettingsError(
        f"The port {port} is taken by the stack {holder.stack} of {holder.project}",
        facts=[f"{holder.stack} was last updated from {checkout}", "Nothing was changed"],
        todo=f"Set another route port in Pulumi.{ours.stack}.yaml; or give up the other stack, in"
        f" its checkout: ./immutable destroy {holder.stack}. If that checkout is gone:"
        " ./immutable sweep lists what it left.",
    )


def _make_privileged(port: int) -> SettingsError:
    first = find_first_free_for_all()
    return SettingsError(
        f"The port {port} needs a privilege that this user does not have",
        facts=[
            f"net.ipv4.ip_unprivileged_port_start is {first}",
            "Below it only root, or an haproxy with CAP_NET_BIND_SERVICE, may listen",
        ],
        todo=f"Set a route port from {first} on in the stack file; or as root:"
        f" sysctl net.ipv4.ip_unprivileged_port_start={port}.",
    )


def _make_in_use(port: int) -> ImmutableError:
    listener = find_listener(port) or "a process that this user cannot see"
    return TrafficError(
        f"The balancer's port {port} is in use by somebody else",
        facts=[f"{LOOPBACK}:{port}: {listener}"],
        todo="End that process, or set another route port in the stack file.",
    )


def _can_bind_any() -> bool:
    """Return whether the file of haproxy gives it the capability when this user starts it.

    Its format is that of `struct vfs_cap_data` (linux/capability.h).
    """
    haproxy = shutil.which("haproxy")
    try:
        found = os.getxattr(haproxy, "security.capability") if haproxy else b""
        magic, permitted = struct.unpack_from("<II", found)
    except (OSError, struct.error):
        return False
    return bool(magic & 1 and permitted & _BIND)
