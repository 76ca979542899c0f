"""Access by ssh: the way that keys, windows and probes go at every target with ssh logins."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.access import LOGIN_WINDOW, Access
from immutable_servers.contract.values import FleetSpec, Login, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.shared import login_keys, ssh
from immutable_servers.targets.shared.login_keys import CONFIG, KEY
from immutable_servers.targets.shared.ssh import SEAL_COMMAND, Host, Way


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

    def _find_way(self, folder: Path) -> Way:
        """Return how hosts are reached; `folder` holds the key and the `ssh_config`."""
        del folder
        return Way()

    def _open_way(self, scope: Scope) -> None:
        """Let this machine reach the servers' SSH port. Not abstract: it may be open to all."""
        del scope

    def _seal_later_servers(self, scope: Scope) -> None:
        """Have servers that are started from now on boot sealed; safe to repeat."""
        del scope

    def _find_open(self, scope: Scope) -> Sequence[str]:
        """Return the servers that are to seal themselves: those whose logins were written."""
        return ssh.find_names(self._folder(scope))

    def _find_opening(self, scope: Scope, name: str) -> str:
        """Return what shows, from outside, that a server still takes logins; empty when sealed."""
        failure = ssh.run_remote(self._folder(scope) / CONFIG, name, "true")
        return "" if failure else "a login still works"

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
        """Make or find the key pair in the generation's folder."""
        return login_keys.make_key(self._folder(scope), scope.name)

    def delete_key(self, scope: Scope) -> None:
        """Delete the key pair and what else a login needed."""
        login_keys.delete_key(self._folder(scope))

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Write the `ssh_config` of servers that can be logged in to, where the key is."""
        folder = self._folder(scope)
        hosts = self._find_hosts(scope) if (folder / KEY).exists() else ()
        return self._write_logins(folder, hosts)

    def open_logins(self, scope: Scope) -> Sequence[Login]:
        """Open the way, write the `ssh_config`, and wait until every server takes a login."""
        logins = self.describe_logins(scope)
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

        The key goes last: until then a run that was killed here can be repeated.
        """
        self._seal_later_servers(scope)
        names = self._find_open(scope)
        for name in names:
            self._seal(scope, name)
        self._close_way(scope, names, say)
        self.delete_key(scope)
        if names:
            say(f"sealed {', '.join(names)}")

    def _seal(self, scope: Scope, name: str) -> None:
        folder = self._folder(scope)
        answer = ssh.run_remote(folder / CONFIG, name, SEAL_COMMAND)
        if self._find_way(folder).sockets:
            ssh.end_shared_connection(folder, name)
        opening = self._find_opening(scope, name)
        self._cut_off(scope, name)
        if opening:
            raise LaunchError(
                f"The server {name} did not seal itself",
                facts=[opening, answer or f"{SEAL_COMMAND} said nothing"],
                todo="Look at the base image's seal, then run this again.",
            )

    @contextmanager
    def start_probe(self, spec: FleetSpec, say: Say) -> Iterator[Login]:
        """Launch a server with a key of its own, and yield when it takes a login."""
        ends = int(time.time()) + LOGIN_WINDOW
        with self._hold_probe(spec.scope, ends) as folder:
            key = login_keys.make_key(folder, folder.name)
            opened = replace(spec, public_key=key, window_ends=ends)
            say("launching a probe")
            with self._launch_probe(opened, folder, say) as host:
                logins = self._write_logins(folder, [host])
                seconds = self.probe_seconds or self.login_seconds
                ssh.wait_until_logins(logins, seconds, self.login_todo)
                yield logins[0]

    def _write_logins(self, folder: Path, hosts: Sequence[Host]) -> list[Login]:
        """Write the `ssh_config` of hosts and return how to log in to each."""
        if not hosts:
            return []
        config = ssh.write_ssh_config(folder, hosts, self._find_way(folder))
        return [Login(host.name, f"ssh://{host.name}", str(config)) for host in hosts]
