"""Opens and closes logins by firewall rules that carry the end of their window."""

import shutil
import time
import urllib.request
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.shared.access import SshAccess
from immutable_servers.targets.shared.login_keys import KEY


class CloudAccess(SshAccess):
    """Keys on this machine, and rules that let a verifier in while a window is open."""

    @abstractmethod
    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the rules that let a verifier in to a generation, or to any of a stack."""

    @abstractmethod
    def _let_in(self, scope: Scope, end: int) -> None:
        """Add the rules for a generation's servers, with their end, where some are needed."""

    @abstractmethod
    def remove_way(self, name: str) -> None:
        """Remove a rule that lets a verifier in; a missing one is no error."""

    @abstractmethod
    def remove_probes(self, scope: Scope) -> None:
        """Remove probes of a generation, or of any of a stack, whose time is over."""

    @abstractmethod
    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        """End servers that nobody has checked; their fleet makes them again, sealed."""

    def open_way(self, scope: Scope, end: int) -> None:
        """Let the verifier in to a generation while its key is here and its window is open."""
        self.close_stale_ways(scope)
        is_open = end > time.time() and (self._folder(scope) / KEY).exists()
        if is_open and not self.find_ways(scope):
            self._let_in(scope, end)

    def close_stale_ways(self, scope: Scope) -> None:
        """Remove rules of the stack that a killed run left behind."""
        for way in self.find_ways(replace(scope, service="", generation="")):
            if ends.is_over(way.words, ends.WINDOW):
                self.remove_way(way.name)

    def _open_way(self, scope: Scope) -> None:
        self.open_way(scope, int(time.time()) + LOGIN_WINDOW)

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


def find_own_address(url: str, todo: str) -> str:
    """Return this machine's address in the internet, as a range, from a URL that answers it.

    Raises:
        LaunchError: It cannot be found out; `todo` says how the settings can name it.
    """
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - a constant
            return str(ip_network(answer.read(64).decode("ascii").strip()))
    except (OSError, ValueError) as error:
        raise LaunchError(
            "The address of this machine cannot be found out", facts=[f"{url}: {error}"], todo=todo
        ) from error
