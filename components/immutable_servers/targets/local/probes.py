"""A probe: one open server of an artifact that serves nobody, gone at the end whatever happens."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.values import FleetSpec, Login, Say, Scope
from immutable_servers.errors import BusyError
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.keys import make_key_pair
from immutable_servers.targets.local import layout, ssh
from immutable_servers.targets.local.artifacts import verify_artifact
from immutable_servers.targets.local.fleets import check_space
from immutable_servers.targets.local.machines import remove_machine
from immutable_servers.targets.local.servers import boot_servers, make_wish
from immutable_servers.targets.local.settings import LocalSettings

_WINDOW_SECONDS = 30 * 60


@contextmanager
def start_probe(spec: FleetSpec, settings: LocalSettings, say: Say) -> Iterator[Login]:
    """Boot a probe and yield how to log in to it; remove it at the end.

    Its login key is its own. A probe that a killed run left is removed first.

    Raises:
        ImageError: The artifact is missing or corrupted.
        LaunchError: It does not serve, or takes no login, before the deadline.
        BusyError: Another run probes the same generation.
    """
    remove_stale_probes(spec.scope)
    verify_artifact(layout.images_dir(), spec.artifact)
    check_space(1)
    folder = layout.probes_dir(spec.scope) / f"{layout.backend_name(spec.scope)}-{os.getpid()}"
    with hold_lock(folder / "lock", 0, f"the probe {folder.name}"):
        try:
            say("booting a probe")
            yield _boot(folder, spec, settings)
        finally:
            _remove(folder)


def remove_stale_probes(scope: Scope) -> None:
    """Remove the probes whose run has ended without removing them."""
    parent = layout.probes_dir(scope)
    for folder in parent.iterdir() if parent.is_dir() else ():
        remove_stale_probe(folder)


def remove_stale_probe(folder: Path) -> bool:
    """Remove a probe whose run has ended; say whether it was one."""
    with suppress(BusyError), hold_lock(folder / "lock", 0, f"the probe {folder.name}"):
        _remove(folder)
        return True
    return False


def _boot(folder: Path, spec: FleetSpec, settings: LocalSettings) -> Login:
    public = make_key_pair(folder / "key", folder.name)
    ends = int(time.time()) + _WINDOW_SECONDS
    opened = replace(spec, public_key=public, window_ends=ends)
    name = f"{layout.backend_name(spec.scope)}-probe"
    wish = make_wish(opened, name, settings.find_size(spec.launch.size), settings)
    place = folder / "server"
    machines, failures = boot_servers({place: wish}, spec.launch.health, settings)
    for failure in failures:
        raise failure
    config = ssh.write_ssh_config(folder, {name: (place, machines[place])})
    login = Login(name, f"ssh://{name}", str(config))
    ssh.wait_until_logins([login], settings.boot_deadline)
    return login


def _remove(folder: Path) -> None:
    ssh.end_shared_connections(folder)
    remove_machine(folder / "server")
    layout.remove_folder(folder)
