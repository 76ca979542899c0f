"""Logs in to machines while their window is open: strict about host keys, connections shared."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import not_
from pathlib import Path

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError
from immutable_servers.system import places, stopping
from immutable_servers.system.files import write_whole
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local.machines import Machine
from immutable_servers.targets.local.ports import LOOPBACK

SEAL_COMMAND = "/usr/local/sbin/immutable-seal now"
_COMMAND_SECONDS = 30.0
_BANNER_SECONDS = 15.0
_AT_ONCE = 20


def write_ssh_config(folder: Path, machines: Mapping[str, tuple[Path, Machine]]) -> Path:
    """Write `ssh_config` and `known_hosts` for the machines of a generation; return the first.

    Args:
        folder: The generation's folder, which holds the private key as `key`.
        machines: Server name to its folder and what it is.
    """
    sockets = places.runtime_dir(folder)
    known = [f"{name} {_read_host_key(path)}\n" for name, (path, _) in machines.items()]
    write_whole(folder / "known_hosts", "".join(known), mode=0o600)
    hosts = [
        f"Host {name}\n  HostName {LOOPBACK}\n  Port {machine.ssh_port}\n  HostKeyAlias {name}\n"
        for name, (_, machine) in machines.items()
    ]
    common = (
        "Host *\n  User root\n  BatchMode yes\n  ConnectTimeout 15\n  LogLevel ERROR\n"
        f'  IdentityFile "{folder / "key"}"\n  IdentitiesOnly yes\n  IdentityAgent none\n'
        f'  UserKnownHostsFile "{folder / "known_hosts"}"\n  GlobalKnownHostsFile /dev/null\n'
        "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n"
        f'  ControlMaster auto\n  ControlPersist 60\n  ControlPath "{sockets}/%C"\n'
    )
    write_whole(folder / "ssh_config", "".join(hosts) + common, mode=0o600)
    return folder / "ssh_config"


def wait_until_logins(logins: Sequence[Login], seconds: float) -> None:
    """Wait until each server takes a login, side by side.

    Raises:
        LaunchError: One does not before `seconds` are over.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda login: _wait_until_login(login, seconds), logins))


def _wait_until_login(login: Login, seconds: float) -> None:
    config, name = Path(login.ssh_config), login.server
    said = wait_until(
        f"waiting for a login to {name}",
        seconds,
        lambda: run_remote(config, name, "true"),
        done=not_,
        every=0.3,
    )
    if said:
        raise LaunchError(
            f"The server {name} takes no login",
            facts=[said, f"tried for {seconds:.0f} s with {config}"],
            todo=f"Read {config.parent}/servers/*/console.log, then run the update again.",
        )


def run_remote(config: Path, name: str, command: str) -> str:
    """Run a command on a server; return an empty string, or how it failed.

    Raises:
        StoppedError: This process was told to stop before.
    """
    # The shared connection stays in the background and would keep pipes open: none is given.
    ssh = ["ssh", "-n", "-F", str(config), name, command]
    log = config.with_name(f"ssh-{name}.log")
    with log.open("w+") as said:
        with subprocess.Popen(
            ssh,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        ) as process:
            try:
                with stopping.on_stop(process.kill, f"a command on {name}"):
                    code = process.wait(_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                return f"ssh did not end within {_COMMAND_SECONDS:.0f} s"
            finally:
                process.kill()
        said.seek(0)
        return "" if code == 0 else said.read().strip() or f"exit {code}"


def end_shared_connection(config: Path, name: str) -> None:
    """End the connection to a server that its commands share; none is no error."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["ssh", "-F", str(config), "-O", "exit", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )


def end_shared_connections(folder: Path) -> None:
    """End the shared connections to all servers of a generation's, or a probe's, `ssh_config`."""
    config = folder / "ssh_config"
    if config.exists():
        for name in re.findall(r"^Host (\S+-\S+)$", config.read_text(), re.MULTILINE):
            end_shared_connection(config, name)


def find_banner(port: int) -> str:
    """Return what an SSH server says first on a port; empty when nobody answers there."""
    try:
        with socket.create_connection((LOOPBACK, port), _BANNER_SECONDS) as connection:
            return connection.recv(64).decode(errors="replace").strip()
    except OSError:
        return ""


def is_refused(port: int) -> bool:
    """Say whether a connection to a port is refused at once: nothing listens there."""
    try:
        with socket.create_connection((LOOPBACK, port), _BANNER_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _read_host_key(folder: Path) -> str:
    kind, key, *_ = (folder / "host_key.pub").read_text().split()
    return f"{kind} {key}"
