"""Logs in to servers while their window is open, by an `ssh_config` of their own."""

import glob
import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.values import Login
from immutable_servers.errors import LaunchError
from immutable_servers.system import stopping
from immutable_servers.system.environment import make_environment
from immutable_servers.system.files import write_whole
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.shared.login_keys import CONFIG, KEY, KNOWN_HOSTS

SEAL_COMMAND = "/usr/local/sbin/immutable-seal now"
SEALED = "sealed"
"""The first line of what a server says that has sealed itself; one for each login follows."""
USED_COMMAND = "set -- /var/lib/immutable/used; [ ! -e $1 ] || cat $1"
"""Prints a line for each login of people's key: its time, and the address that it came from."""
REFUSED = "Connection refused"
"""What ssh says of a server on whose port nobody listens (strerror(3) of ECONNREFUSED)."""
_USED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?: ([0-9A-Fa-f.:]{2,45}))?")
_COMMAND_SECONDS = 45.0
_POLL_SECONDS = 0.5
AT_ONCE = 20
_SHOWN_CHARACTERS = 4096
"""So much is read of what ssh or a server printed: a server's banner may be long."""


@dataclass(frozen=True)
class Host:
    """A server that can be logged in to.

    Attributes:
        address: Where ssh finds it: an address, or an id that an option of the way understands.
        key: Its host key, such as `ssh-ed25519 AAAA...`; empty takes the key that it shows at the
            first login, and no other from then on.
        options: Further options of `ssh_config` for this server alone.
    """

    name: str
    address: str
    port: int = 22
    key: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """How all hosts of a target are reached.

    Attributes:
        options: Further options of `ssh_config`, such as `ProxyJump`.
        include: The user's own ssh configuration, which is read first.
        sockets: A folder for connections that commands share; without one each makes its own.
        strict: A server is logged in to only when its host key is known beforehand.
        environment: Names of the variables that it needs, as `contract.values.Login` has them.
    """

    options: Sequence[str] = ()
    include: Path | None = None
    sockets: Path | None = None
    strict: bool = False
    environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came of a command on a server.

    Attributes:
        said: The beginning of what it printed: another machine's words.
        failure: How it failed, in its own or ssh's last words; empty when it worked.
    """

    said: str = ""
    failure: str = ""

    @property
    def has_sealed(self) -> bool:
        """Whether a server says that it has sealed itself, or that nobody takes logins there.

        A seal ends the session that asked for it, so its exit code may be lost.
        """
        return not self.failure or self.said.startswith(SEALED) or REFUSED in self.failure


def write_ssh_config(folder: Path, hosts: Sequence[Host], way: Way, mark: str = "") -> Path:
    """Write the `ssh_config` of hosts whose private key is in a folder; return the file.

    Args:
        folder: Private; holds the key, and gets the file.
        hosts: The servers.
        way: How they are reached.
        mark: A command of this machine that has to work before each login (ssh_config(5), Match).
    """
    is_known = way.strict or all(host.key for host in hosts)
    if is_known:
        known = "".join(f"{host.name} {host.key}\n" for host in hosts if host.key)
        write_whole(folder / KNOWN_HOSTS, known, mode=0o600)
    # Nobody's own settings make people share the verifier's connection, which needs no key.
    include = ["Host *", "  ControlMaster no", "  ControlPath none"] if mark else []
    include += [f'Include "{glob.escape(str(way.include))}"'] if way.include else []
    key = f'IdentityFile "{folder / KEY}"'
    each = [
        f"{_render_match(host, mark)}\n"
        + (f"  {key}\n" if mark else "")
        + f"  HostName {host.address}\n"
        f"  Port {host.port}\n"
        f"  HostKeyAlias {host.name}" + "".join(f"\n  {option}" for option in host.options)
        for host in hosts
    ]
    options = [
        "User root",
        "BatchMode yes",
        "ConnectTimeout 15",
        "LogLevel ERROR",
        *([] if mark else [key]),
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


def _render_match(host: Host, mark: str) -> str:
    """Return the line that begins a host's block; ssh expands `%` in a command."""
    if not mark:
        return f"Host {host.name}"
    return f'Match originalhost {host.name} exec "{mark.replace("%", "%%")}"'


def render_mark(file: Path) -> str:
    """Return a command that adds the time to a file, in UTC; empty where ssh cannot be told so.

    How a quote or a backslash is written inside a `Match` is another thing in each version of ssh.
    """
    path = str(file)
    return "" if set(path) & {*"'\"\\"} else f"date -u +%Y-%m-%dT%H:%M:%SZ >>'{path}'"


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
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda login: _wait_until_login(login, seconds, todo), logins))


def _wait_until_login(login: Login, seconds: float, todo: str) -> None:
    failure = ""

    def takes_login() -> bool:
        nonlocal failure
        answer = run_remote(Path(login.ssh_config), login.server, "true", login.environment)
        failure = answer.failure
        return not failure

    what = f"waiting for a login to {login.server}"
    if not wait_until(what, seconds, takes_login, every=_POLL_SECONDS):
        raise LaunchError(
            f"The server {login.server} takes no login",
            facts=[failure, f"tried for {seconds:.0f} s"],
            todo=todo,
        )


def run_remote(config: Path, name: str, command: str, environment: Sequence[str] = ()) -> Answer:
    """Run a command on a server, and return what came of it.

    `environment` are names of variables that the way to it needs.

    Raises:
        StoppedError: This process was asked to stop before.
    """
    # A shared connection stays in the background and would keep pipes open: none is given.
    ssh = ["ssh", "-n", "-F", str(config), name, command]
    log = config.with_name(f"ssh-{name}.log")
    with log.open("w+", errors="replace") as printed, tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            ssh,
            env={**make_environment(*environment), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=printed,
            start_new_session=True,
        ) as process:
            try:
                with stopping.on_stop(process.kill, f"a command on {name}"):
                    code = process.wait(_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                return Answer(failure=f"ssh did not end within {_COMMAND_SECONDS:.0f} s")
            finally:
                process.kill()
        printed.seek(0)
        said.seek(0)
        failure = "" if code == 0 else printed.read(_SHOWN_CHARACTERS).strip() or f"exit {code}"
        return Answer(said.read(_SHOWN_CHARACTERS).decode(errors="replace"), failure)


def find_used(folder: Path, name: str, environment: Sequence[str] = ()) -> str:
    """Ask a server who logged in to it; return one line, empty when nobody did.

    Raises:
        LaunchError: It did not answer.
        StoppedError: This process was asked to stop before.
    """
    answer = run_remote(folder / CONFIG, name, USED_COMMAND, environment)
    if answer.failure:
        raise LaunchError(
            f"The server {name} does not say whether somebody logged in to it",
            facts=[answer.failure],
            todo="Run ./immutable up again.",
        )
    return describe_used(name, answer.said)


def describe_used(name: str, said: str) -> str:
    """Return one line about the first of a server's logins; empty when it names none."""
    if not said.strip():
        return ""
    found = _USED.fullmatch(said.strip().partition("\n")[0])
    when = f" at {found[1]}" if found else ""
    whence = f" from {found[2]}" if found and found[2] else ""
    return f"somebody logged in to {name}{when}{whence}"


def end_shared_connections(folder: Path) -> None:
    """End the connections that commands share to the servers of a folder; none is no error."""
    for name in find_names(folder):
        end_shared_connection(folder, name)


def end_shared_connection(folder: Path, name: str) -> None:
    """End the connection to a server that its commands share; none is no error."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["ssh", "-F", str(folder / CONFIG), "-O", "exit", name],
            env=make_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
