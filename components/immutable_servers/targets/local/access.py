"""A generation's login key and window: made, used, and closed for good."""

from pathlib import Path

from immutable_servers.contract.values import Login, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.system.keys import find_or_make_key_pair
from immutable_servers.targets.local import layout, ssh
from immutable_servers.targets.local.fleet_records import find_machines, read_record, seal_record
from immutable_servers.targets.local.machines import (
    Machine,
    close_ssh_port,
    find_machine_process,
    find_qmp,
)
from immutable_servers.targets.local.qmp import remove_forward
from immutable_servers.targets.local.settings import LocalSettings


def make_key(scope: Scope) -> str:
    """Make or find a generation's login key; return the public key."""
    folder = layout.generation_dir(scope)
    folder.mkdir(parents=True, exist_ok=True)
    return find_or_make_key_pair(folder / "key", scope.name)


def delete_key(scope: Scope) -> None:
    """Delete a generation's login key, and its folder when it holds no fleet."""
    folder = layout.generation_dir(scope)
    for name in ("key", "key.pub"):
        (folder / name).unlink(missing_ok=True)
    if folder.exists() and read_record(folder) is None:
        layout.remove_folder(folder)


def find_logins(scope: Scope, settings: LocalSettings) -> list[Login]:
    """Return how to log in to each server of a generation, when each takes a login.

    Raises:
        LaunchError: The window is closed, or a server takes no login before the deadline.
    """
    logins = describe_logins(scope)
    if not logins:
        machines = find_machines(scope).values()
        closed = [machine.name for machine in machines if not machine.ssh_port]
        raise LaunchError(
            f"The login window of {layout.backend_name(scope)} is closed",
            facts=[f"no route to: {', '.join(closed) or 'any server'}"],
            todo="Run ./immutable up: what has to be verified again is made again.",
        )
    ssh.wait_until_logins(logins, settings.boot_deadline)
    return logins


def describe_logins(scope: Scope) -> list[Login]:
    """Write how to log in to each server of a generation; nothing once its window is closed."""
    folder, machines = layout.generation_dir(scope), find_machines(scope)
    closed = [machine for machine in machines.values() if not machine.ssh_port]
    if closed or not machines or not (folder / "key").exists():
        return []
    config = ssh.write_ssh_config(folder, {one.name: (path, one) for path, one in machines.items()})
    return [Login(one.name, f"ssh://{one.name}", str(config)) for one in machines.values()]


def close_window(scope: Scope, say: Say) -> None:
    """Seal every server of a generation; a sealed one is no error.

    Each is told to seal itself, its forwarded port is removed, and both are checked from outside.
    Whatever is started later boots sealed.

    Raises:
        LaunchError: A server still takes logins.
    """
    folder = layout.generation_dir(scope)
    seal_record(scope)
    machines = {path: one for path, one in find_machines(scope).items() if one.ssh_port}
    for path, machine in machines.items():
        _close(folder / "ssh_config", path, machine)
        close_ssh_port(path)
    for name in ("key", "key.pub", "ssh_config", "known_hosts"):
        (folder / name).unlink(missing_ok=True)
    if machines:
        say(f"sealed {', '.join(machine.name for machine in machines.values())}")


def _close(config: Path, path: Path, machine: Machine) -> None:
    if find_machine_process(path) is None:
        return  # It boots sealed when it is started again.
    said = ssh.run_remote(config, machine.name, ssh.SEAL_COMMAND) if config.exists() else ""
    ssh.end_shared_connection(config, machine.name)
    banner = ssh.find_banner(machine.ssh_port)
    remove_forward(find_qmp(path), machine.ssh_port)
    if banner:
        raise LaunchError(
            f"The server {machine.name} did not seal itself",
            facts=[f"its SSH server answered {banner}", said or f"{ssh.SEAL_COMMAND} said nothing"],
            todo="No route to it is left; look at the base image's seal, then run this again.",
        )
    if not ssh.is_refused(machine.ssh_port):
        raise LaunchError(
            f"The server {machine.name} still takes connections for logins",
            facts=[f"127.0.0.1:{machine.ssh_port} is not refused"],
            todo="Run the update again.",
        )
