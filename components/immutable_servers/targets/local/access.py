"""Logins to machines on this machine: ports forwarded by QEMU, while a window is open."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.values import FleetSpec, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.system import places
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.artifacts import verify_artifact
from immutable_servers.targets.local.consoles import keep_consoles
from immutable_servers.targets.local.fleet_records import find_machines, read_record, seal_record
from immutable_servers.targets.local.machines import (
    Machine,
    close_ssh_port,
    find_machine_process,
    find_qmp,
    remove_machine,
    require_linux,
)
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.probes import remove_stale_probes
from immutable_servers.targets.local.qmp import remove_forward
from immutable_servers.targets.local.servers import boot_servers, check_space, make_wish
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.shared import ssh
from immutable_servers.targets.shared.access import SshAccess
from immutable_servers.targets.shared.ssh import Answer, Host, Way

_BANNER_SECONDS = 15.0


class LocalAccess(SshAccess):
    """The host keys are known, and each server has a port of 127.0.0.1 until it is sealed."""

    login_todo = "Read its console with `./immutable logs`, then run the update again."

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings
        self.login_seconds = settings.boot_deadline

    def make_key(self, scope: Scope) -> str:
        """Make or find the key pair in the generation's folder, before anything is launched."""
        require_linux()
        return super().make_key(scope)

    def delete_key(self, scope: Scope) -> None:
        """Delete the key pair, and the generation's folder when it holds no fleet."""
        super().delete_key(scope)
        folder = self._folder(scope)
        if folder.exists() and read_record(folder) is None:
            layout.remove_folder(folder)

    def _folder(self, scope: Scope) -> Path:
        return layout.generation_dir(scope)

    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        machines = find_machines(scope)
        if not all(machine.ssh_port for machine in machines.values()):
            return ()
        return [_make_host(path, machine) for path, machine in machines.items()]

    def _find_way(self, folder: Path) -> Way:
        return Way(sockets=places.runtime_dir(folder))

    def _seal_later_servers(self, scope: Scope) -> None:
        """Note it in the fleet's record; a stopped server boots sealed when it is started again."""
        seal_record(scope)
        for path in find_machines(scope):
            if find_machine_process(path) is None:
                close_ssh_port(path)

    def _find_open(self, scope: Scope) -> Sequence[str]:
        return [machine.name for machine in find_machines(scope).values() if machine.ssh_port]

    def _require_askable(self, scope: Scope, names: Sequence[str]) -> None:
        """Refuse where its machines are not: another machine that shares the state has them."""
        del names
        if not find_machines(scope):
            raise LaunchError(
                f"{layout.backend_name(scope)} cannot be sealed from here",
                facts=[f"{self._folder(scope)} holds no servers."],
                todo="Run ./immutable up on the machine that launched it.",
            )

    def _find_opening(self, scope: Scope, name: str, answer: Answer) -> str:
        """Ask the port itself: QEMU takes each connection, whether the server does or not."""
        del answer
        banner = _find_banner(self._find_machine(scope, name)[1].ssh_port)
        return banner and f"its SSH server answered {banner}"

    def _cut_off(self, scope: Scope, name: str) -> None:
        path, machine = self._find_machine(scope, name)
        remove_forward(find_qmp(path), machine.ssh_port)
        if not _is_refused(machine.ssh_port):
            raise LaunchError(
                f"The server {name} still takes connections for logins",
                facts=[f"{LOOPBACK}:{machine.ssh_port} is not refused"],
                todo="Run the update again.",
            )
        close_ssh_port(path)

    def _find_machine(self, scope: Scope, name: str) -> tuple[Path, Machine]:
        machines = find_machines(scope).items()
        return next((path, machine) for path, machine in machines if machine.name == name)

    @contextmanager
    def _hold_probe(self, scope: Scope, ends: int) -> Iterator[Path]:
        """Hold the probe's lock: a probe whose lock nobody holds is a dead run's."""
        del ends
        require_linux()
        remove_stale_probes(scope)
        folder = layout.probes_dir(scope) / f"{layout.backend_name(scope)}-{os.getpid()}"
        with hold_lock(folder / "lock", 0, f"the probe {folder.name}"):
            try:
                yield folder
            finally:
                layout.remove_folder(folder)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        del say
        verify_artifact(layout.images_dir(), spec.artifact)
        check_space(1)
        path, size = folder / "server", self.settings.find_size(spec.launch.size)
        name, reach = f"{layout.backend_name(spec.scope)}-probe", self.settings.describe_reach()
        wish = make_wish(spec, name, size, reach, self.settings)
        try:
            machines, failures = boot_servers({path: wish}, spec.launch.health, self.settings)
            for failure in failures:
                keep_consoles(spec.scope, [path], "probe")
                raise failure
            yield _make_host(path, machines[path])
        finally:
            ssh.end_shared_connections(folder)
            remove_machine(path)


def _make_host(path: Path, machine: Machine) -> Host:
    kind, key, *_ = (path / "host_key.pub").read_text().split()
    return Host(machine.name, LOOPBACK, machine.ssh_port, f"{kind} {key}")


def _find_banner(port: int) -> str:
    """Return the first words of an SSH server on a port; empty when nobody answers there."""
    try:
        with socket.create_connection((LOOPBACK, port), _BANNER_SECONDS) as connection:
            return connection.recv(64).decode(errors="replace").strip()
    except OSError:
        return ""


def _is_refused(port: int) -> bool:
    """Return whether a connection to a port is refused at once: nothing listens there."""
    try:
        with socket.create_connection((LOOPBACK, port), _BANNER_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
