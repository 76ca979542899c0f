"""Opens a stack once per command: its file, settings, target and engine, and the service meant."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.driver.engine.outputs import read_outputs
from immutable_servers.driver.engine.stack import Stack, load_stack
from immutable_servers.driver.project.files import read_project_name, read_values
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.ledger.records import ServiceLedger
from immutable_servers.settings import Settings, load_settings
from immutable_servers.settings.models import ServiceSettings
from immutable_servers.targets.place import Place


@dataclass(frozen=True)
class Opened:
    """A stack of the project; each part is read when it is first used, and then kept.

    What a run changes, its ledgers, is read anew each time.
    """

    root: Path
    name: str

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The settings in the stack's file, not checked."""
        return read_values(self.root, self.name)

    @property
    def target_name(self) -> str:
        """The target's name in the stack's file, not checked; empty without one."""
        return str(self.values.get("target", ""))

    @cached_property
    def settings(self) -> Settings:
        """The checked settings."""
        return load_settings(self.values, self.root)

    @cached_property
    def scope(self) -> Scope:
        """Project and stack, as they name what is made."""
        return Scope(read_project_name(self.root), self.name)

    @cached_property
    def place(self) -> Place:
        """The target's name and settings, and the scope."""
        return Place(self.settings.target, self.settings.target_settings, self.scope)

    @cached_property
    def target(self) -> Target:
        """The target that the settings name."""
        return self.place.load()

    @cached_property
    def engine(self) -> Stack:
        """How `pulumi` is called for the stack; its tools must have been set up."""
        return load_stack(self.root, self.name)

    def read_ledgers(self) -> dict[str, ServiceLedger]:
        """Ask the engine for the ledgers of the stack's last run, by service.

        Raises:
            ImmutableError: The backend or a ledger cannot be read.
        """
        return parse_ledgers(read_outputs(self.engine).get(OUTPUT))

    def choose_service(self, name: str) -> "Chosen":
        """Return a service of the settings; the only one where none is named.

        Raises:
            SettingsError: There is no such service, or several and none is named.
        """
        return Chosen(self, choose_name(name, self.settings.services, self.name))


@dataclass(frozen=True)
class Chosen:
    """One service of an opened stack."""

    stack: Opened
    name: str

    @property
    def settings(self) -> ServiceSettings:
        """The service's own settings."""
        return self.stack.settings.services[self.name]

    @property
    def place(self) -> Place:
        """The target and the service's scope."""
        return self.stack.place.of(self.name)


def choose_name(name: str, services: Collection[str], stack: str) -> str:
    """Return the service that a command means; the only one where none is named.

    Raises:
        SettingsError: There is no such service, or several and none is named.
    """
    if not name and len(services) == 1:
        (name,) = services
    if name not in services:
        near = get_close_matches(name, services, n=1)
        raise SettingsError(
            f"There is no service {name!r} in {stack}" if name else "No service is named",
            facts=[f"Services of {stack}: {', '.join(sorted(services))}"],
            todo=f"Did you mean {near[0]}?" if near else "Name one of them.",
        )
    return name
