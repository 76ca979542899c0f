"""What every target offers: one class, the same methods in the same order.

A target is constructed from its settings alone (`Target(settings)`), so that the program, a dynamic
provider and the driver each make their own from the plain values that resources carry. Nothing here
imports Pulumi at run time: the graph part receives resource options and returns resources.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from immutable_servers.plain import restore_numbers
from immutable_servers.targets.ownership import Ask, Leftover, Owner

if TYPE_CHECKING:
    import pulumi
    from pydantic import BaseModel

Say = Callable[[str], None]
"""Takes one line of progress, without the newline."""


class _Plain:
    """Turns a dataclass into plain values and back."""

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON and Pulumi can hold."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the object from what `to_plain` returned; keys it does not know are left out."""
        known = cls.__dataclass_fields__  # type: ignore[attr-defined]
        return cls(**{key: restore_numbers(value) for key, value in plain.items() if key in known})


@dataclass(frozen=True)
class Scope(_Plain):
    """Whose things they are: names and tags at a target carry all of it."""

    project: str
    stack: str
    service: str = ""
    generation: str = ""

    @property
    def name(self) -> str:
        """The name at a target, such as `immutable-servers-dev-web-3f2a9c41`."""
        return "-".join(filter(None, (self.project, self.stack, self.service, self.generation)))


@dataclass(frozen=True)
class Artifact(_Plain):
    """What the target stores for one image version.

    Attributes:
        id: The target's own word: an AMI id, an image link, `app/3f2a9c41d0e7` on `local`.
        parents: Image name to version, nearest parent first.
        facts: What was recorded at the bake (git commit, time, archive digests), and under
            `marks` what `Catalog.mark` wrote.
    """

    image: str
    version: str
    id: str
    parents: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def marks(self) -> Mapping[str, str]:
        """The marks by key, such as `revoked` with the reason."""
        found = self.facts.get("marks")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Route(_Plain):
    """What the balancer listens for: a port, or (port 0) a host name on the shared port."""

    service: str
    port: int
    host: str = ""


@dataclass(frozen=True)
class Launch(_Plain):
    """All that shapes a server beside its image: the launch spec, plain values.

    Attributes:
        size: The user's word; the target resolves it.
        port: What a server listens on.
        health: Path of the health check, such as `/healthz`.
        env: Handed to the server at launch; never secrets.
    """

    size: str
    port: int
    health: str
    env: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FleetSpec(_Plain):
    """One generation's servers, as they are to be launched.

    Attributes:
        artifact: The artifact's id.
        record: The generation's record, which the target keeps with the fleet (tags or a file).
        public_key: OpenSSH public key that may log in while the window is open; empty is sealed.
        window_ends: When the login window closes, in seconds since the epoch; 0 is sealed.
    """

    scope: Scope
    artifact: str
    launch: Launch
    servers: int
    record: dict[str, Any]
    public_key: str = ""
    window_ends: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, nested ones included."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Make the spec from what `to_plain` returned."""
        nested = {
            "scope": Scope.from_plain(plain["scope"]),
            "launch": Launch.from_plain(plain["launch"]),
        }
        return super().from_plain({**plain, **nested})


@dataclass(frozen=True)
class Fleet(_Plain):
    """A fleet that the target says exists.

    Attributes:
        record: What was kept with it at launch.
        servers: How many it should hold.
        whole: Every server that it should hold exists (a stopped one on `local` counts: it is
            started again by the next run).
        running: How many run now.
        leaving: Its deletion has begun; it is never used again.
    """

    generation: str
    record: dict[str, Any]
    servers: int
    whole: bool
    running: int
    leaving: bool = False


@dataclass(frozen=True)
class Server(_Plain):
    """One server of a fleet.

    Attributes:
        name: Such as `web-3f2a9c41-0`.
        url: Where it answers HTTP for health checks, such as `http://127.0.0.1:41001`.
    """

    name: str
    url: str


@dataclass(frozen=True)
class Login(_Plain):
    """How testinfra reaches a server while its login window is open.

    Attributes:
        host: testinfra's host spec, such as `ssh://web-3f2a9c41-0`.
        ssh_config: File for `--ssh-config`, with address, port, user, key and known hosts; or
            empty for a backend that needs none.
    """

    server: str
    host: str
    ssh_config: str = ""

    @property
    def command(self) -> str:
        """The command that logs in by hand; empty for a backend without ssh."""
        name = self.host.removeprefix("ssh://")
        return f"ssh -F {shlex.quote(self.ssh_config)} {name}" if self.ssh_config else ""


@dataclass(frozen=True)
class Health(_Plain):
    """What a server answered its health check, asked now.

    Attributes:
        serving: The balancer's group for the generation holds this server.
    """

    server: str
    ok: bool
    detail: str
    serving: bool = True


@dataclass(frozen=True)
class Drift(_Plain):
    """What somebody changed by hand of a fleet, or what went with the machine that it ran on.

    Attributes:
        kind: `missing`, `stopped`, `paused` or `added` is a server; `artifact`: a server's disk is
            not of the fleet's artifact; `group`: the balancer's group holds a server that the fleet
            does not.
        server: Its name.
        detail: What was found, such as a path.
    """

    generation: str
    kind: Literal["missing", "stopped", "paused", "added", "artifact", "group"]
    server: str
    detail: str = ""


@dataclass(frozen=True)
class Answers(_Plain):
    """What one of the balancer's processes counted for a generation since it began to count.

    Attributes:
        errors: Answers of class 5xx, the balancer's own for a dead server included.
    """

    requests: int
    errors: int


@dataclass(frozen=True)
class BakeRequest:
    """All that a target needs to bake one image version.

    Attributes:
        template: Staged copy of `packer/<image>/`, only the files that the version hashes.
        sources: Staged copies of the image's sources, one folder each by its name.
        lock: The lock's entry for this target and architecture; empty for an image with a parent.
        variables: Non-secret template variables from the settings.
        secrets: Sensitive variables: never written to a file, a log or a command line.
        lineage: What goes into the image as `/etc/immutable/image.json`.
        log: The bake's log file; the target may add lines.
        deadline: Seconds that the whole bake may take.
    """

    image: str
    version: str
    template: Path
    sources: Path
    parent: Artifact | None
    lock: Mapping[str, Any]
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    lineage: Mapping[str, Any]
    manifest: Mapping[str, str]
    log: Path
    deadline: float
    say: Say


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
