"""Opens and closes logins by firewall rules that carry the end of their window."""

import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from immutable_servers.contract.values import Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.system.environment import NETWORK
from immutable_servers.system.places import data_dir
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.calls import CloudApi
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.cloud.settings import CloudSettings
from immutable_servers.targets.shared.access import SshAccess
from immutable_servers.targets.shared.login_keys import KEY
from immutable_servers.targets.shared.ssh import Host, Way

AGENT = ("SSH_AUTH_SOCK",)
"""A host of the user's is entered with the user's own keys."""


class Groups(Protocol):
    """The fleets' groups."""

    def find_window_end(self, scope: Scope) -> int:
        """Return when a fleet's login window ends, in seconds since the epoch; 0 once sealed."""


class GroupedFleets(Protocol):
    """Fleets that are groups of the cloud's own."""

    @property
    def api(self) -> CloudApi[Any]:
        """What they are asked for through."""

    @property
    def groups(self) -> Groups:
        """The groups."""

    def find_instances(self, scope: Scope) -> Mapping[str, Mapping[str, Any]]:
        """Return what the cloud says of a generation's servers, by its own ids of them."""


class CloudAccess(SshAccess):
    """Keys on this machine, and rules that let a verifier in while a window is open."""

    fleets: GroupedFleets
    api: CloudApi[Any]
    settings: CloudSettings
    login_seconds = 120.0
    keys_todo: str
    """What the reader does when the console of a server does not show its host key."""
    variables: tuple[str, ...]
    """Names of the variables that the cloud's own tools need."""

    def __init__(self, fleets: GroupedFleets) -> None:
        self.fleets, self.api, self.settings = fleets, fleets.api, fleets.api.settings
        self.probe_seconds = self.settings.boot_deadline

    @staticmethod
    @abstractmethod
    def _name(scope: Scope) -> str:
        """Return the name of a generation's resources."""

    def _folder(self, scope: Scope) -> Path:
        return data_dir() / self.settings.target / self._name(scope)

    @property
    def _is_strict(self) -> bool:
        """Whether the way to servers leads over the internet, where anybody may answer for them."""
        return self.settings.reach == "public"

    def _find_way(self, folder: Path) -> Way:
        del folder
        if self.settings.reach == "ssh_config":
            file = Path(self.settings.ssh_config).expanduser().resolve()
            return Way(include=file, environment=(*AGENT, *self.variables))
        if self.settings.reach in ("public", "private"):
            return Way(strict=self._is_strict)
        return Way(environment=(*NETWORK, *self.variables))

    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        found = self.fleets.find_instances(scope)
        return [self._find_host(scope, found[instance]) for instance in sorted(found)]

    @abstractmethod
    def _find_host(self, scope: Scope, instance: Mapping[str, Any]) -> Host:
        """Return a server as ssh finds it, with what the cloud shows of its host key."""

    @abstractmethod
    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the rules that let a verifier in to a generation, or to any of a stack."""

    @abstractmethod
    def _let_in(self, scope: Scope, end: int) -> None:
        """Let this verifier in to a generation's servers, where a rule is needed for that.

        A rule of another address than the one that it has now is removed; safe to repeat.
        """

    @abstractmethod
    def remove_way(self, name: str) -> None:
        """Remove a rule that lets a verifier in; a missing one is no error."""

    @abstractmethod
    def remove_probes(self, scope: Scope) -> None:
        """Remove probes of a generation, or of any of a stack, whose time is over."""

    def _find_window_end(self, scope: Scope) -> int:
        """Return until when a generation's servers may take logins, in seconds since the epoch.

        0 where there are none, and once `close_window` has gone through for them.
        """
        return self.fleets.groups.find_window_end(scope)

    @abstractmethod
    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        """End servers that nobody has checked; their fleet makes them again, sealed."""

    def _wait_for_hosts(self, scope: Scope) -> Sequence[Host]:
        return self._wait_for_keys(lambda: self._find_hosts(scope), self.login_seconds)

    def _wait_for_keys(self, find: Callable[[], Sequence[Host]], seconds: float) -> Sequence[Host]:
        """Wait until each server's console shows its host key, where one has to be known.

        Raises:
            LaunchError: One shows none in time.
        """
        hosts: Sequence[Host] = ()

        def are_known() -> bool:
            nonlocal hosts
            hosts = find()
            return all(host.key for host in hosts)

        if self._is_strict and not wait_until("waiting for host keys", seconds, are_known, every=3):
            names = [host.name for host in hosts if not host.key]
            raise LaunchError(
                "The host keys of servers are not known, so nobody logs in to them",
                facts=[f"{name}: its console shows none after {seconds:.0f} s" for name in names],
                todo=self.keys_todo,
            )
        return hosts or find()

    def _wait_for_probe(self, scope: Scope, look: Callable[[], Mapping[str, Any]]) -> Host:
        """Return a probe once all is known that a login needs.

        Args:
            scope: The generation's.
            look: Returns what the cloud says of it.
        """
        found = self._wait_for_keys(lambda: [self._find_host(scope, look())], self.probe_seconds)
        return found[0]

    def open_way(self, scope: Scope, end: int) -> None:
        """Let the verifier in to a generation while its key is here and its window is open."""
        self.close_stale_ways(scope)
        if end > time.time() and (self._folder(scope) / KEY).exists():
            self._let_in(scope, end)

    def close_stale_ways(self, scope: Scope) -> None:
        """Remove rules of the stack that a killed run left behind."""
        for way in self.find_ways(scope.of_stack):
            if ends.is_over(way.words, ends.WINDOW):
                self.remove_way(way.name)

    def _require_open(self, scope: Scope) -> None:
        end = self._find_window_end(scope)
        if 0 < end <= time.time():
            raise LaunchError(
                f"The login window of {scope.service}-{scope.generation} is over",
                facts=[f"its servers took logins until {_render_time(end)}"],
                todo="Run ./immutable up: it makes the generation again, with a new window.",
            )

    def _open_way(self, scope: Scope) -> None:
        self.open_way(scope, self._find_window_end(scope))

    def _require_askable(self, scope: Scope, names: Sequence[str]) -> None:
        ends, key = self._find_window_end(scope), self._folder(scope) / KEY
        if names or ends <= time.time():
            return
        until = _render_time(ends)
        raise LaunchError(
            f"{scope.service}-{scope.generation} cannot be sealed from here",
            facts=[
                f"its servers take logins until {until}",
                f"{key} {'was never used' if key.exists() else 'is not here'}",
            ],
            todo=f"Run ./immutable up where it was launched, or after {until} anywhere: its servers"
            " have sealed themselves by then.",
        )

    def _has_ended(self, scope: Scope, name: str) -> bool:
        is_there = name in {host.name for host in self._find_hosts(scope)}
        return not is_there or self._find_window_end(scope) <= time.time()

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        for way in self.find_ways(scope):
            self.remove_way(way.name)
        self.close_stale_ways(scope)
        if sealed:
            self._end_late(scope, sealed, say)

    @contextmanager
    def _hold_probe(self, scope: Scope, ends: int) -> Iterator[Path]:
        self.remove_probes(scope)
        folder = self._folder(scope)
        folder = folder.with_name(f"{folder.name}-probe-{ends}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _render_time(seconds: int) -> str:
    return time.strftime("%H:%M UTC", time.gmtime(seconds))
