"""Access by ssh: the way that keys, windows and probes go at every target with ssh logins."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.access import LOGIN_WINDOW, Access
from immutable_servers.contract.values import FleetSpec, Login, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.shared import login_keys, ssh
from immutable_servers.targets.shared.login_keys import CONFIG, INSPECTION, KEY, USED
from immutable_servers.targets.shared.ssh import SEAL_COMMAND, SEALED, Answer, Host, Way


class SshAccess(Access):
    """Keys in folders, logins by an `ssh_config`, servers that seal themselves when asked."""

    login_seconds: float
    """How long a server may take to take a login."""
    probe_seconds: float = 0.0
    """How long a probe may take, which has yet to boot; 0 is the same as others."""
    login_todo: str
    """What the reader does when a server takes no login."""

    @abstractmethod
    def _folder(self, scope: Scope) -> Path:
        """Return the private folder of a generation's login, which need not exist."""

    @abstractmethod
    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        """Return a generation's servers that can be logged in to; none once all are sealed."""

    def _wait_for_hosts(self, scope: Scope) -> Sequence[Host]:
        """Return the same servers once all is known that a login needs."""
        return self._find_hosts(scope)

    def _find_way(self, folder: Path) -> Way:
        """Return how hosts are reached; `folder` holds the key and the `ssh_config`."""
        del folder
        return Way()

    def _open_way(self, scope: Scope) -> None:
        """Let this machine reach the servers' SSH port. Not abstract: it may be open to all."""
        del scope

    def _require_open(self, scope: Scope) -> None:
        """Refuse to wait for servers that have sealed themselves when their window was over.

        Not abstract: a target may know of none that is over.

        Raises:
            LaunchError: The window is over.
        """

    def _seal_later_servers(self, scope: Scope) -> None:
        """Have servers that are started from now on boot sealed; safe to repeat."""
        del scope

    def _find_open(self, scope: Scope) -> Sequence[str]:
        """Return the servers that are to seal themselves: those whose logins were written."""
        return ssh.find_names(self._folder(scope))

    def _require_askable(self, scope: Scope, names: Sequence[str]) -> None:
        """Refuse to seal a generation whose open servers this machine cannot ask.

        Not abstract: a target may see each server's port for itself.

        Raises:
            LaunchError: Servers are open, and `names`, those that can be asked, is empty.
        """

    def _find_opening(self, scope: Scope, name: str, answer: Answer) -> str:
        """Return why a server may still take logins; empty when it is sealed.

        A server that cannot be reached from here is not a sealed one.

        Args:
            scope: The generation's.
            name: The server's.
            answer: What it said when it was asked to seal itself.
        """
        folder = self._folder(scope)
        needed = self._find_way(folder).environment
        login = ssh.run_remote(folder / CONFIG, name, "true", needed)
        if not login.failure:
            return "a login still works"
        is_sealed = answer.has_sealed or login.has_sealed or self._has_ended(scope, name)
        return "" if is_sealed else f"it could not be asked: {answer.failure}"

    def _has_ended(self, scope: Scope, name: str) -> bool:
        """Return whether a server is gone, or its window over: nobody has to ask it then."""
        del scope, name
        return False

    def _cut_off(self, scope: Scope, name: str) -> None:
        """Remove the way to one server, sealed or not. Not abstract: one way may lead to all."""
        del scope, name

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        """Remove the way to all servers, which have sealed themselves; safe to repeat."""
        del scope, sealed, say

    @abstractmethod
    def _hold_probe(self, scope: Scope, ends: int) -> AbstractContextManager[Path]:
        """Yield a private folder for one probe, and remove it at the end.

        Probes of the generation that dead runs left are removed first.

        Args:
            scope: The generation's.
            ends: When the probe's window closes: a later run removes what is left of it then.
        """

    @abstractmethod
    def _launch_probe(
        self, spec: FleetSpec, folder: Path, say: Say
    ) -> AbstractContextManager[Host]:
        """Launch one open server and yield how to reach it; remove it at the end.

        Args:
            spec: With the probe's own key and window.
            folder: The probe's.
            say: Takes a line for what takes long.
        """

    def make_key(self, scope: Scope) -> str:
        """Make or find the verifier's key pair in the generation's folder."""
        return login_keys.make_key(self._folder(scope), scope.name)

    def make_inspection_key(self, scope: Scope) -> str:
        """Make or find people's key pair in a folder below the generation's."""
        return login_keys.make_key(self._folder(scope) / INSPECTION, f"{scope.name}-inspection")

    def delete_key(self, scope: Scope) -> None:
        """Delete the key pairs and what else a login needed."""
        login_keys.delete_key(self._folder(scope))

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Write people's `ssh_config`, by which ssh notes here that it is used before it logs in.

        It shares no connection with the verifier's, which would spare a login its own key.
        """
        folder = self._folder(scope)
        people = folder / INSPECTION
        mark = ssh.render_mark(people / USED)
        if not (mark and (folder / KEY).exists() and (people / KEY).exists()):
            return []
        way = replace(self._find_way(folder), sockets=None)
        return _write_logins(people, self._find_hosts(scope), way, mark)

    def has_keys(self, scope: Scope) -> bool:
        """Look into the generation's folder."""
        folder = self._folder(scope)
        return (folder / KEY).exists() or (folder / INSPECTION / KEY).exists()

    def find_inspection(self, scope: Scope) -> str:
        """Read what people's login has noted in the generation's folder."""
        return login_keys.find_inspection(self._folder(scope))

    def find_used(self, scope: Scope) -> Sequence[str]:
        """Ask the servers, side by side, by the verifier's login."""
        folder = self._folder(scope)
        needed = self._find_way(folder).environment
        names = ssh.find_names(folder)
        with ThreadPoolExecutor(ssh.AT_ONCE) as pool:
            said = pool.map(lambda name: ssh.find_used(folder, name, needed), names)
            return [line for line in said if line]

    def open_logins(self, scope: Scope) -> Sequence[Login]:
        """Open the way, write the `ssh_config`, and wait until every server takes a login."""
        folder = self._folder(scope)
        hosts: Sequence[Host] = ()
        if (folder / KEY).exists():
            self._require_open(scope)
            hosts = self._wait_for_hosts(scope)
        logins = _write_logins(folder, hosts, self._find_way(folder))
        if not logins:
            key = self._folder(scope) / KEY
            raise LaunchError(
                f"The login window of {scope.service}-{scope.generation} is closed",
                facts=[f"{key}: {'no server can be reached' if key.exists() else 'is not here'}"],
                todo="Run ./immutable up where the generation was launched, or after its window"
                f" ({LOGIN_WINDOW // 60} min) anywhere: it is made again then.",
            )
        self._open_way(scope)
        ssh.wait_until_logins(logins, self.login_seconds, self.login_todo)
        return logins

    def close_window(self, scope: Scope, say: Say) -> None:
        """Have every server seal itself, check each from outside, and close the way to it.

        The keys go last: until then a run that was killed here can be repeated. They stay where
        somebody logged in since the verification, and with them what is known of it.
        """
        self._seal_later_servers(scope)
        names = self._find_open(scope)
        self._require_askable(scope, names)
        used = [line for name in names if (line := self._seal(scope, name))]
        self._close_way(scope, names, say)
        self.refuse_used(scope, used)
        self.delete_key(scope)
        if names:
            say(f"sealed {', '.join(names)}")

    def _seal(self, scope: Scope, name: str) -> str:
        """Seal a server; return who logged in to it before, as far as it still said so."""
        folder = self._folder(scope)
        way = self._find_way(folder)
        answer = ssh.run_remote(folder / CONFIG, name, SEAL_COMMAND, way.environment)
        if way.sockets:
            ssh.end_shared_connection(folder, name)
        first, _, logins = answer.said.partition("\n")
        used = ssh.describe_used(name, logins) if first == SEALED else ""
        if used:
            login_keys.note_inspection(folder)
        opening = self._find_opening(scope, name, answer)
        self._cut_off(scope, name)
        if opening:
            raise LaunchError(
                f"The server {name} did not seal itself",
                facts=[opening, answer.failure or f"{SEAL_COMMAND} did not fail"],
                todo="See that it can be reached from here, and look at the base image's seal; then"
                " run ./immutable up again.",
            )
        return used

    @contextmanager
    def start_probe(self, spec: FleetSpec, say: Say) -> Iterator[Login]:
        """Launch a server with a key of its own, and yield when it takes a login."""
        ends = int(time.time()) + LOGIN_WINDOW
        with self._hold_probe(spec.scope, ends) as folder:
            key = login_keys.make_key(folder, folder.name)
            opened = replace(spec, public_key=key, window_ends=ends)
            say("launching a probe")
            with self._launch_probe(opened, folder, say) as host:
                logins = _write_logins(folder, [host], self._find_way(folder))
                seconds = self.probe_seconds or self.login_seconds
                ssh.wait_until_logins(logins, seconds, self.login_todo)
                yield logins[0]


def _write_logins(folder: Path, hosts: Sequence[Host], way: Way, mark: str = "") -> list[Login]:
    """Write the `ssh_config` of hosts and return how to log in to each."""
    if not hosts:
        return []
    config = str(ssh.write_ssh_config(folder, hosts, way, mark))
    return [Login(host.name, f"ssh://{host.name}", config, way.environment) for host in hosts]
