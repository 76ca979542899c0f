"""Fleets of a cloud's own groups, which say what could not be launched; servers have consoles."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.values import Scope, Server
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.shared.console_words import describe_words

Thing = Mapping[str, Any]
MOST_REASONS = 5
"""Reasons of failed launches that are shown; the others most likely are the same."""


class Groups(Protocol):
    """A cloud's groups of servers."""

    def explain_launches(self, scope: Scope) -> Sequence[str]:
        """Return why a group could not launch servers, the latest first; empty when it could."""


class CloudFleets(Fleets):
    """Servers in a cloud's own groups, which the cloud describes one by one.

    Attributes:
        unmade: What is said of a server that is missing, and no launch has failed yet.
    """

    unmade: ClassVar[str]
    groups: Groups

    @abstractmethod
    def find_instances(self, scope: Scope) -> Mapping[str, Thing]:
        """Return what the cloud says of a generation's servers, by its own names."""

    @abstractmethod
    def find_console(self, instance: Thing) -> str:
        """Return what a server has printed, as far as the cloud has it: another machine's words."""

    @abstractmethod
    def _find_port(self, scope: Scope) -> int:
        """Return the port on which a generation's servers listen; 0 where nobody says."""

    @abstractmethod
    def _describe_server(self, scope: Scope, name: str, instance: Thing) -> tuple[str, str]:
        """Return a server's name as its launch data says it too, and its address."""

    @abstractmethod
    def _describe_states(self, scope: Scope, instances: Mapping[str, Thing]) -> Mapping[str, str]:
        """Return how each of a generation's instances is, for a reader."""

    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Ask for the group's instances."""
        port, instances = self._find_port(scope), self.find_instances(scope)
        found = (self._describe_server(scope, one, instances[one]) for one in sorted(instances))
        return [Server(name, f"http://{address}:{port}") for name, address in found]

    def _explain_missing(self, scope: Scope) -> str:
        return next(iter(self.groups.explain_launches(scope)), self.unmade)

    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return failed launches, the instances' states, and the end of their consoles."""
        lines = [f"launch: {said}" for said in self.groups.explain_launches(scope)[:MOST_REASONS]]
        instances = self.find_instances(scope)
        states = self._describe_states(scope, instances)
        for one in sorted(instances):
            name, _ = self._describe_server(scope, one, instances[one])
            lines += [f"{name}: {states[one]}", *self._read_console(instances[one])]
        return lines

    def _read_console(self, instance: Thing) -> Sequence[str]:
        """Return what a server's units said on its console, as far as the cloud has it."""
        try:
            return describe_words(self.find_console(instance))
        except ImmutableError as error:
            return [f"its console could not be read: {error.what}"]
