"""Removes probes of runs that have ended without removing them."""

from contextlib import suppress
from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.errors import BusyError
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.machines import remove_machine
from immutable_servers.targets.shared.ssh import end_shared_connections


def remove_stale_probes(scope: Scope) -> None:
    """Remove the probes of a stack whose lock nobody holds."""
    parent = layout.probes_dir(scope)
    for folder in parent.iterdir() if parent.is_dir() else ():
        remove_stale_probe(folder)


def remove_stale_probe(folder: Path) -> bool:
    """Remove a probe unless a run holds its lock; return whether it was removed."""
    with suppress(BusyError), hold_lock(folder / "lock", 0, f"the probe {folder.name}"):
        end_shared_connections(folder)
        remove_machine(folder / "server")
        layout.remove_folder(folder)
        return True
    return False
