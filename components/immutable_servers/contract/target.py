"""What every target offers: one class, the same methods in the same order.

A target is constructed from its settings alone (`Target(settings)`), so that the program, a dynamic
provider and the driver each make their own from the plain values that resources carry. Nothing here
imports Pulumi at run time: the graph part receives resource options and returns resources.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from immutable_servers.contract.ownership import Ask, Leftover, Owner
from immutable_servers.contract.values import (
    Answers,
    Artifact,
    BakeRequest,
    Drift,
    Fleet,
    FleetSpec,
    Health,
    Launch,
    Login,
    Route,
    Say,
    Scope,
    Server,
)

if TYPE_CHECKING:
    import pulumi
    from pydantic import BaseModel


class Packer(ABC):
    """Runs Packer on a staged template under one deadline (see `images/packer.py`)."""

    @abstractmethod
    def build(
        self, variables: Mapping[str, str], watch: Callable[[str], None] | None = None
    ) -> Mapping[str, Any]:
        """Build with these variables beside the request's own.

        Args:
            variables: Those that the target's template declares.
            watch: Is asked each second with Packer's last line; what it raises ends Packer.

        Returns:
            The build's entry of the manifest post-processor (`artifact_id`, `custom_data`, ...).

        Raises:
            ImageError: With Packer's own message, its line, and the log file.
        """


class Catalog(ABC):
    """The images that a target holds, found by (image, version)."""

    @abstractmethod
    def find(self, image: str, version: str) -> Artifact | None:
        """Return the whole and usable artifact of this version, or None."""

    @abstractmethod
    def list(self) -> Sequence[Artifact]:
        """Return every artifact of this project's images, oldest first."""

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Return the inputs of an artifact's version as its bake recorded them; empty without.

        Previews compare them with the checkout's. Not abstract: a target that keeps none, or keeps
        them among the facts under `manifest`, has nothing to say here.
        """
        found = artifact.facts.get("manifest")
        return found if isinstance(found, Mapping) else {}

    @abstractmethod
    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark on an artifact; an empty value removes it."""

    @abstractmethod
    def delete(self, artifact: Artifact) -> None:
        """Delete an artifact that nothing refers to.

        Raises:
            ImageError: Something still refers to it.
        """


class Target(ABC):
    """Where it all runs."""

    name: ClassVar[str]
    settings_model: ClassVar[type["BaseModel"]]
    """The target's own settings, under its name in the stack file."""
    can_weigh: ClassVar[bool] = True
    """Its balancer splits traffic by weight and counts each generation's answers: what a canary
    needs. A target that cannot says so here, and the setting is refused."""
    takes_overrides: ClassVar[bool] = True
    """It has launch arguments of its own, for `launch_overrides`. Where it has none the setting is
    refused."""
    costs_money: ClassVar[bool] = True
    """Servers are paid for, so that what launches or deletes some asks first."""
    architecture: str
    """The lock's key beside the target's name, such as `x86_64`."""
    answers_within: ClassVar[float] = 60.0
    """How long the servers of a launched fleet may take to answer before they are checked, and
    before they get traffic, in seconds: a balancer's own checks need some to see them."""
    keep_for: ClassVar[float | None] = 24 * 3600.0
    """How long a standby is kept where the settings do not say, in seconds: a server that serves
    nobody costs money. None is without a limit."""

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the plain values of `settings_model`; touch nothing."""

    # images
    @property
    @abstractmethod
    def catalog(self) -> Catalog:
        """The images that the target holds."""

    @abstractmethod
    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Look outside and return a new lock entry (called by `./immutable update` only)."""

    @abstractmethod
    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Bake one version and return its whole artifact; leave nothing behind on a failure."""

    # the graph
    @abstractmethod
    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return what a size means here.

        Raises:
            SettingsError: Neither small, medium, large nor the target's own word.
        """

    @abstractmethod
    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what our code gives a server at launch: plain values, digested into the id."""

    @abstractmethod
    def declare_balancer(
        self, scope: Scope, routes: Sequence[Route], opts: "pulumi.ResourceOptions"
    ) -> "pulumi.CustomResource":
        """Declare the stack's load balancer, its pointers left alone."""

    @abstractmethod
    def declare_fleet(
        self,
        name: str,
        spec: Mapping[str, "pulumi.Input[Any]"],
        *,
        frozen: bool,
        opts: "pulumi.ResourceOptions",
    ) -> "pulumi.CustomResource":
        """Declare launch template and fleet from `FleetSpec`'s fields, some of them Outputs.

        `spec` also holds `balancer`, the balancer's id, so that it comes first. `frozen` ignores
        every change but the server count.
        """

    # what exists and serves
    @abstractmethod
    def find_fleets(self, scope: Scope) -> Mapping[str, Fleet]:
        """Return the fleets of a service by generation id."""

    @abstractmethod
    def find_traffic(self, scope: Scope) -> Mapping[str, int]:
        """Return generation id to weight as the balancer says; empty when it points nowhere.

        Raises:
            TrafficError: The balancer exists and cannot be read.
        """

    @abstractmethod
    def find_servers(self, scope: Scope) -> Sequence[Server]:
        """Return the servers of a generation."""

    @abstractmethod
    def find_health(self, scope: Scope, launch: Launch) -> Sequence[Health]:
        """Ask every server of a generation now, and the balancer's group which it holds."""

    @abstractmethod
    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Return what a generation answered, by each process of the balancer that counts.

        Empty where nothing counts it now, which is not the same as no answer.

        Raises:
            TrafficError: The balancer cannot be asked.
        """

    @abstractmethod
    def find_trouble(self, scope: Scope) -> Sequence[str]:
        """Return what helps to see why a generation is not healthy: the end of its console logs."""

    def find_consoles(self, scope: Scope) -> Mapping[str, Path]:
        """Return console logs by server name: a generation's, or with no generation a service's.

        Not abstract: a target whose own tools show consoles keeps none here.
        """
        del scope
        return {}

    def find_drift(self, scope: Scope) -> Sequence[Drift]:
        """Return what was changed by hand of a service's fleets; it asks, and changes nothing.

        Not abstract: a target whose own groups mend their fleets has nothing to say.
        """
        del scope
        return ()

    @abstractmethod
    def find_address(self, route: Route, scope: Scope) -> str:
        """Return the URL where a service answers, such as `http://127.0.0.1:8080`."""

    def declare_address(self, route: Route, scope: Scope) -> "pulumi.Input[str]":
        """Return `find_address` for the stack's outputs.

        Not abstract: a target that only learns the address in a run returns it as an Output.
        """
        return self.find_address(route, scope)

    # acting
    @abstractmethod
    def make_key(self, scope: Scope) -> str:
        """Make or find the generation's login key, kept by the target; return the public key.

        The private key never enters Pulumi's state.
        """

    @abstractmethod
    def delete_key(self, scope: Scope) -> None:
        """Delete the generation's login key; a missing one is no error."""

    @abstractmethod
    def find_logins(self, scope: Scope) -> Sequence[Login]:
        """Return how to log in to each server of a generation, when all answer.

        Raises:
            LaunchError: A server does not take logins before the target's deadline.
        """

    def describe_logins(self, scope: Scope) -> Sequence[Login]:
        """Return how to log in to a generation's servers, whether they answer or not.

        Empty once the window is closed. Not abstract: a target that has nothing to write down
        beforehand says nothing here.
        """
        del scope
        return ()

    @abstractmethod
    def start_probe(self, spec: FleetSpec, say: Say) -> AbstractContextManager[Login]:
        """Boot one open server of an artifact that serves nobody; remove it at the end.

        With an empty `spec.launch.health` it may be sick: only its login is waited for.
        """

    @abstractmethod
    def close_window(self, scope: Scope, say: Say) -> None:
        """Seal every server: logins closed, keys removed, no route left; checked from outside.

        Raises:
            LaunchError: A server still takes logins.
        """

    @abstractmethod
    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Point the balancer at these generations and confirm by reading it back."""

    @abstractmethod
    def delete_fleet(self, scope: Scope) -> None:
        """Delete a fleet that no state knows, launched by a run that died; to the end.

        Raises:
            RetirementError: The balancer points to it.
        """

    @abstractmethod
    def drain(self, scope: Scope, seconds: float, say: Say) -> None:
        """Wait until a generation without traffic holds no connection, or the time is over."""

    # whose things they are
    def find_owner(self, scope: Scope) -> Owner | None:
        """Return whose a stack's things are; None when nobody recorded it.

        None of the four is abstract: a target that a single state uses needs no record.
        """
        del scope
        return None

    def begin_update(self, owner: Owner, declared: Collection[str]) -> None:
        """Record whose the stack's things are, and tidy what earlier runs that died have left.

        Called as each update begins, while no other run changes the stack. What goes without a
        question is what can be proved to serve nobody: keys without a fleet, probes and half
        artifacts of runs that are gone. Fleets are the graph's matter.

        Args:
            owner: This run's state.
            declared: Names of the generations that this run declares, such as `web-3f2a9c41`.
        """
        del owner, declared

    def find_leftovers(self, ask: Ask) -> Sequence[Leftover]:
        """Return what no stack owns, in the order in which it can be removed.

        `ask` asks the state of an owner. What a run that is under way makes is not left over.
        """
        del ask
        return ()

    def remove_leftover(self, leftover: Leftover, ask: Ask) -> bool:
        """Remove what `find_leftovers` returned, after a second look under the thing's own lock.

        Returns:
            Whether it was removed: False when it is gone, or is not left over any more.

        Raises:
            RetirementError: The balancer sends it traffic.
        """
        del leftover, ask
        return False
