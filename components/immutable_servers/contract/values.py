"""The plain values that pass between the core and the targets."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from immutable_servers.contract.plain import PlainForm

Say = Callable[[str], None]
"""Takes one line of progress, without the newline."""

ALL = 100
"""Sum of the weights of a service's generations."""


@dataclass(frozen=True)
class Scope(PlainForm):
    """Project, stack, service and generation that a thing belongs to, as its name and tags say."""

    project: str
    stack: str
    service: str = ""
    generation: str = ""

    @property
    def name(self) -> str:
        """The name at a target, such as `immutable-servers-dev-web-3f2a9c41`."""
        return "-".join(filter(None, (self.project, self.stack, self.service, self.generation)))

    @property
    def of_stack(self) -> "Scope":
        """The stack's own scope."""
        return replace(self, service="", generation="")


@dataclass(frozen=True)
class Artifact(PlainForm):
    """What the target stores for one image version.

    Attributes:
        id: The target's own id: an AMI id, an image link, `app/3f2a9c41d0e7` on `local`.
        parents: Image name to version, nearest parent first.
        facts: What was recorded at the bake (git commit, time, archive digests), and under
            `marks` what `Catalog.mark` wrote.
        digest: The image's digest, as its bake has kept it; empty for one of an early program.
    """

    image: str
    version: str
    id: str
    parents: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def marks(self) -> Mapping[str, str]:
        """The marks by key, such as `revoked` with the reason."""
        found = self.facts.get("marks")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Route(PlainForm):
    """What the balancer listens for: a port, or (port 0) a host name on the shared port.

    Attributes:
        reserved_ip: There is no balancer: an address leads to the service's only server, which
            listens on the port itself.
    """

    service: str
    port: int
    host: str = ""
    reserved_ip: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Leave out `reserved_ip` where there is none: states of earlier programs lack it."""
        plain = super().to_plain()
        reserved = plain.pop("reserved_ip")
        return {**plain, "reserved_ip": True} if reserved else plain


@dataclass(frozen=True)
class Launch(PlainForm):
    """The launch spec: all that shapes a server beside its image.

    Attributes:
        size: The user's word; the target resolves it.
        port: What a server listens on.
        health: Path of the health check, such as `/healthz`.
        env: Handed to the server at launch; never secrets.
        generation_header: Its answers name its generation.
    """

    size: str
    port: int
    health: str
    env: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    generation_header: bool = True

    def to_plain(self) -> dict[str, Any]:
        """Leave out the header where it is as usual: ids of earlier programs know nothing of it."""
        plain = super().to_plain()
        header = plain.pop("generation_header")
        return plain if header else {**plain, "generation_header": header}


@dataclass(frozen=True)
class FleetSpec(PlainForm):
    """How one generation's servers are launched.

    Attributes:
        artifact: The artifact's id.
        record: The generation's record, which the target keeps with the fleet (tags or a file).
        public_key: OpenSSH public key of the verifier, which may log in while the window is open;
            empty is sealed.
        window_ends: When the login window closes, in seconds since the epoch; 0 is sealed.
        inspection_key: OpenSSH public key of people, whose logins the servers remember; empty lets
            the verifier in alone.
    """

    scope: Scope
    artifact: str
    launch: Launch
    servers: int
    record: dict[str, Any]
    public_key: str = ""
    window_ends: int = 0
    inspection_key: str = ""


@dataclass(frozen=True)
class Fleet(PlainForm):
    """A fleet that exists, as the target describes it.

    Attributes:
        record: What was kept with it at launch.
        servers: How many it should hold.
        whole: Every server that it should hold exists (a stopped one on `local` counts: it is
            started again by the next run).
        running: How many run now.
        leaving: Its deletion has begun; it is never used again.
        rebaked: Its artifact was baked again under its servers' disks, so that none of them can be
            started as it was verified; it is not whole then. Targets whose artifacts get a new id
            with each bake leave it out.
        states: What the target's own group says of each server, by server name; empty without one.
    """

    generation: str
    record: dict[str, Any]
    servers: int
    whole: bool
    running: int
    leaving: bool = False
    rebaked: bool = False
    states: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server(PlainForm):
    """One server of a fleet.

    Attributes:
        name: Such as `web-3f2a9c41-0`.
        url: Where it answers HTTP for health checks, such as `http://127.0.0.1:41001`.
    """

    name: str
    url: str


@dataclass(frozen=True)
class Login(PlainForm):
    """How testinfra reaches a server while its login window is open.

    Attributes:
        host: testinfra's host spec, such as `ssh://web-3f2a9c41-0`.
        ssh_config: File for `--ssh-config`, with address, port, user, key and known hosts; or
            empty for a backend that needs none.
        environment: Names of the variables that the way to the server needs beside the common
            ones; `*` at the end stands for any rest.
    """

    server: str
    host: str
    ssh_config: str = ""
    environment: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that logs in by hand; empty for a backend without ssh."""
        name = self.host.removeprefix("ssh://")
        return f"ssh -F {shlex.quote(self.ssh_config)} {name}" if self.ssh_config else ""


@dataclass(frozen=True)
class Health(PlainForm):
    """A server's answer to its health check, asked now.

    Attributes:
        serving: The balancer's group for the generation holds this server.
    """

    server: str
    ok: bool
    detail: str
    serving: bool = True


@dataclass(frozen=True)
class Member(PlainForm):
    """A server in the balancer's group for a generation.

    Attributes:
        up: The balancer sends it requests, when its group has traffic.
        detail: What the balancer says of it.
    """

    up: bool
    detail: str = ""


@dataclass(frozen=True)
class Drift(PlainForm):
    """A change that somebody made to a fleet by hand, or a server lost with its machine.

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
class Answers(PlainForm):
    """Answers that one balancer process has counted for a generation since it began to count.

    Attributes:
        errors: Answers of class 5xx, the balancer's own for a dead server included.
        unsettled: Requests of which it is not known yet whether they were answered: a later look
            says so.
    """

    requests: int
    errors: int
    unsettled: int = 0


@dataclass(frozen=True)
class BakeRequest:
    """All that a target needs to bake one image version.

    Attributes:
        template: Staged copy of `packer/<image>/`, only the files that the version hashes.
        inputs: Archive of the image's `files/` and, below `sources/`, its sources by their names.
        lock: The lock's entry for this target and architecture; empty for an image with a parent.
        variables: Non-secret template variables from the settings.
        secrets: Sensitive variables: never written to a file, a log or a command line.
        lineage: What goes into the image as `/etc/immutable/image.json`: image, version, digest,
            parents, git commit, time.
        log: The bake's log file; the target may add lines.
        masked: Further values that the log must not show.
        deadline: Seconds that the whole bake may take.
    """

    image: str
    version: str
    template: Path
    inputs: Path
    parent: Artifact | None
    lock: Mapping[str, Any]
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    lineage: Mapping[str, Any]
    manifest: Mapping[str, str]
    log: Path
    deadline: float
    say: Say
    masked: Sequence[str] = ()
