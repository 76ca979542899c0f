"""Logs in to servers while their window is open, by an `ssh_config` of their own."""

import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError
from immutable_servers.system import stopping
from immutable_servers.system.files import write_whole
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.shared.login_keys import CONFIG, KEY, KNOWN_HOSTS

SEAL_COMMAND = "/usr/local/sbin/immutable-seal now"
_COMMAND_SECONDS = 45.0
_POLL_SECONDS = 0.5
_AT_ONCE = 20


@dataclass(frozen=True)
class Host:
    """A server that can be logged in to.

    Attributes:
        address: Where ssh finds it: an address, or an id that an option of the way understands.
        key: Its host key, such as `ssh-ed25519 AAAA...`; empty takes the key that it shows at the
            first login, and no other from then on.
    """

    name: str
    address: str
    port: int = 22
    key: str = ""


@dataclass(frozen=True)
class Way:
    """How all hosts of a target are reached.

    Attributes:
        options: Further options of `ssh_config`, such as `ProxyJump`.
        include: The user's own ssh configuration, which is read first.
        sockets: A folder for connections that commands share; without one each makes its own.
    """

    options: Sequence[str] = ()
    include: Path | None = None
    sockets: Path | None = None


def write_ssh_config(folder: Path, hosts: Sequence[Host], way: Way) -> Path:
    """Write the `ssh_config` of hosts whose private key is in a folder; return the file."""
    is_known = all(host.key for host in hosts)
    if is_known:
        known = "".join(f"{host.name} {host.key}\n" for host in hosts)
        write_whole(folder / KNOWN_HOSTS, known, mode=0o600)
    include = [f'Include "{way.include}"'] if way.include else []
    each = [
        f"Host {host.name}\n"
        f"  HostName {host.address}\n"
        f"  Port {host.port}\n"
        f"  HostKeyAlias {host.name}"
        for host in hosts
    ]
    options = [
        "User root",
        "BatchMode yes",
        "ConnectTimeout 15",
        "LogLevel ERROR",
        f'IdentityFile "{folder / KEY}"',
        "IdentitiesOnly yes",
        "IdentityAgent none",
        f'UserKnownHostsFile "{folder / KNOWN_HOSTS}"',
        "GlobalKnownHostsFile /dev/null",
        f"StrictHostKeyChecking {'yes' if is_known else 'accept-new'}",
        "UpdateHostKeys no",
        *way.options,
    ]
    if way.sockets:
        options += [
            "ControlMaster auto",
            "ControlPersist 60",
            f'ControlPath "{way.sockets}/%C"',
        ]
    lines = [*include, *each, "Host *", *(f"  {option}" for option in options)]
    write_whole(folder / CONFIG, "\n".join(lines) + "\n", mode=0o600)
    return folder / CONFIG


def find_names(folder: Path) -> list[str]:
    """Return the servers that a folder's `ssh_config` names; none where there is no such file."""
    config = folder / CONFIG
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    return re.findall(r"^Host ([^*\s]\S*)$", text, re.MULTILINE)


def wait_until_logins(logins: Sequence[Login], seconds: float, todo: str) -> None:
    """Wait until each server takes a login, side by side.

    Args:
        logins: How to log in to each.
        seconds: How long each may take.
        todo: What the reader does when one takes none.

    Raises:
        LaunchError: One takes none before the time is over.
        StoppedError: This process was asked to stop.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda login: _wait_until_login(login, seconds, todo), logins))


def _wait_until_login(login: Login, seconds: float, todo: str) -> None:
    failure = ""

    def takes_login() -> bool:
        nonlocal failure
        failure = run_remote(Path(login.ssh_config), login.server, "true")
        return not failure

    what = f"waiting for a login to {login.server}"
    if not wait_until(what, seconds, takes_login, every=_POLL_SECONDS):
        raise LaunchError(
            f"The server {login.server} takes no login",
            facts=[failure, f"tried for {seconds:.0f} s: {login.command}"],
            todo=todo,
        )


def run_remote(config: Path, name: str, command: str) -> str:
    """Run a command on a server; return an empty string, or how it failed.

    Raises:
        StoppedError: This process was asked to stop before.
    """
    # A shared connection stays in the background and would keep pipes open: none is given.
    ssh = ["ssh", "-n", "-F", str(config), name, command]
    log = config.with_name(f"ssh-{name}.log")
    with log.open("w+", errors="replace") as printed:
        with subprocess.Popen(
            ssh,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=printed,
            start_new_session=True,
        ) as process:
            try:
                with stopping.on_stop(process.kill, f"a command on {name}"):
                    code = process.wait(_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                return f"ssh did not end within {_COMMAND_SECONDS:.0f} s"
            finally:
                process.kill()
        printed.seek(0)
        return "" if code == 0 else printed.read().strip() or f"exit {code}"


def end_shared_connections(folder: Path) -> None:
    """End the connections that commands share to the servers of a folder; none is no error."""
    for name in find_names(folder):
        end_shared_connection(folder, name)


def end_shared_connection(folder: Path, name: str) -> None:
    """End the connection to a server that its commands share; none is no error."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["ssh", "-F", str(folder / CONFIG), "-O", "exit", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
