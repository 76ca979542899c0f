"""Opens a stack once per command: its file, settings, target and engine, and the service meant."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.driver.engine.outputs import read_outputs
from immutable_servers.driver.engine.remembered import find_place, render_config
from immutable_servers.driver.engine.stack import Stack, load_stack
from immutable_servers.driver.project.files import (
    find_stack_file,
    list_stacks,
    read_project_name,
    read_values,
)
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

    Attributes:
        wait: Seconds to wait for another run that holds the stack.
    """

    root: Path
    name: str
    wait: float = 0

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The settings in the stack's file, not checked.

        Raises:
            SettingsError: There is none, or it cannot be read.
        """
        self.require_file()
        return read_values(self.root, self.name)

    def require_file(self) -> None:
        """Refuse a stack without a file; where the state knows it, with what works then.

        Raises:
            SettingsError: There is none.
        """
        if self.remembered:
            raise _has_no_file(self.name, self.remembered)
        find_stack_file(self.root, self.name)

    @cached_property
    def remembered(self) -> Place | None:
        """Where the state says that the stack is, if it has no file; None with one."""
        has_file = self.name in list_stacks(self.root)
        return None if has_file else find_place(self.root, self.name)

    @property
    def target_name(self) -> str:
        """The target's name in the stack's file, not checked; empty where it names none."""
        return str(self.values.get("target", ""))

    @property
    def known_target(self) -> str:
        """The same, and of a stack without a file that of its state."""
        return self.remembered.target if self.remembered else self.target_name

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
        if self.remembered:
            return self.remembered
        return Place(self.settings.target, self.settings.target_settings, self.scope)

    @cached_property
    def target(self) -> Target:
        """The target that the settings name, or the state of a stack without a file."""
        return self.place.load()

    @cached_property
    def engine(self) -> Stack:
        """How `pulumi` is called for the stack; its tools must have been set up."""
        config = render_config(self.remembered) if self.remembered else None
        return replace(load_stack(self.root, self.name, config), wait=self.wait)

    def read_ledgers(self) -> dict[str, ServiceLedger]:
        """Ask the engine for the ledgers of the stack's last run, by service.

        Raises:
            ImmutableError: The backend or a ledger cannot be read.
        """
        return parse_ledgers(read_outputs(self.engine).get(OUTPUT))

    def choose_service(self, name: str) -> "Chosen":
        """Return a service of the settings; the only one where none is named.

        Of a stack without a file, a service of its ledger.

        Raises:
            SettingsError: There is no such service, or several and none is named.
        """
        services = self.read_ledgers() if self.remembered else self.settings.services
        return Chosen(self, choose_name(name, services, self.name, list_stacks(self.root)))


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


def _has_no_file(name: str, place: Place) -> SettingsError:
    where = f" on {place.target}" if place.target else ""
    return SettingsError(
        f"The stack {name!r} has no file, so nothing says what it should be",
        facts=[f"Its state holds it{where}"],
        todo=f"`./immutable status {name}`, `logs` and `destroy {name}` work without a file. To"
        f" update the stack put Pulumi.{name}.yaml back: from another branch, or as a copy of one.",
    )


def choose_name(
    name: str, services: Collection[str], stack: str, stacks: Collection[str] = ()
) -> str:
    """Return the service that a command means; the only one where none is named.

    Args:
        name: As it was typed; empty for none.
        services: Those that there are.
        stack: Whose services they are.
        stacks: The project's stacks, one of which may have been meant.

    Raises:
        SettingsError: There is no such service, or several and none is named.
    """
    if not name and len(services) == 1:
        (name,) = services
    if name not in services:
        near = get_close_matches(name, services, n=1)
        todo = f"Did you mean {near[0]}?" if near else "Name one of them."
        if name in stacks:
            todo = (
                f"{name} is a stack: say --stack {name}, with a service of it where it has several."
            )
        raise SettingsError(
            f"There is no service {name!r} in {stack}" if name else "No service is named",
            facts=[f"Services of {stack}: {', '.join(sorted(services))}"],
            todo=todo,
        )
    return name


def require_image(image: str, images: Collection[str]) -> None:
    """Refuse an image that the settings do not have.

    Raises:
        SettingsError: It is none of theirs; the nearest name is proposed.
    """
    if image not in images:
        near = get_close_matches(image, images, n=1)
        raise SettingsError(
            f"There is no image {image!r}",
            facts=[f"Images: {', '.join(sorted(images))}"],
            todo=f"Did you mean {near[0]}?" if near else "Name one of them.",
        )
