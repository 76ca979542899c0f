"""The sample project on any emulated cloud, driven as a user would."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import tenacity

from harness.checkout import ROOT, Outcome
from harness.cloud_checkout import CloudCheckout, CloudT
from harness.emulated_cloud import EmulatedCloud, list_done
from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.contract.values import Scope
from immutable_servers.identity import ImageVersion, compute_versions
from immutable_servers.settings import load_settings

SAMPLE = ROOT / "tests/clouds/sample"
BUILDER = "127.0.0.1/32"
"""Who bakes."""
SSH_PORT = 2222
SSH_CONFIG = f"Host *\n  Port {SSH_PORT}\n"
"""Where emulated instances take logins; who reaches instances by such a file says so in it."""


class CallNames(NamedTuple):
    """How the cloud's API calls what a run asks of it."""

    find_image: str
    make_fleet: str
    end_fleet: str
    make_server: str
    """Makes the fresh server of a changed check."""
    ask_health: str
    move: str
    """Moves traffic of a service that has a port to itself."""


@dataclass
class CloudProject(CloudCheckout[CloudT]):
    """The copy of the sample, and its cloud.

    Attributes:
        variables: Template variables of both images.
        own: The target's settings beside those of every test.
    """

    variables: dict[str, str] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)

    sample: ClassVar[Path] = SAMPLE
    timeout: ClassVar[int] = 300
    target: ClassVar[str]
    usual: ClassVar[Mapping[str, Any]]
    """The target's settings of every test."""
    packer_plugin: ClassVar[PackerPlugin]
    calls: ClassVar[CallNames]
    reading: ClassVar[tuple[str, ...]]
    """How the names of calls begin that change nothing."""

    @classmethod
    def create(
        cls, folder: Path, cloud: CloudT, packer: Path = SAMPLE / "packer", stack: str = "dev"
    ) -> Self:
        """Copy the sample and make a stack; `packer` has the templates."""
        root = folder / "project"
        shutil.copytree(SAMPLE, root, ignore=shutil.ignore_patterns("packer"))
        shutil.copytree(packer, root / "packer")
        shutil.copy(ROOT / "__main__.py", root)
        (folder / "state").mkdir()
        (folder / "ssh_config").write_text(SSH_CONFIG)
        project = cls(root, stack=stack, cloud=cloud)
        project.services["web"] = {
            "image": "app",
            "servers": 2,
            "port": 8000,
            "route": {"port": 8080},
            "env": {"GREETING": "hello"},
            "drain": "1s",
            "settle": "1s",
            "keep": 1,
        }
        project.write_settings()
        project.pulumi("stack", "init", stack)
        return project

    def render_settings(self) -> dict[str, Any]:
        """Return the settings from `services`."""
        return {
            "target": self.target,
            "images": {
                "base": {"variables": self.variables},
                "app": {"parent": "base", "sources": ["app"], "variables": self.variables},
            },
            "services": self.services,
            self.target: {
                "verify_through": "ssh_config",
                "ssh_config": str(self.root.parent / "ssh_config"),
                "boot_deadline": 20,
                **self.usual,
                **self.own,
            },
        }

    def bake(self) -> dict[str, str]:
        """Put the images of the checkout into the cloud, as Packer leaves them.

        What really baking does is asked of the real Packer, in `test_bakes.py`.

        Returns:
            Their versions.
        """
        made = self._compute()
        versions = {name: one.version for name, one in made.items()}
        for image, version in versions.items():
            parents = {"base": versions["base"]} if image == "app" else {}
            lineage = {"image": image, "version": version, "digest": made[image].digest}
            self.register_image({**lineage, "parents": parents})
        return versions

    def register_image(self, lineage: Mapping[str, Any]) -> None:
        """Make an image of the cloud's own, unless it is there."""
        raise NotImplementedError

    def prepare_bakes(self) -> str:
        """Have the base start from Debian's image, and let the real Packer in.

        Returns:
            What the cloud calls that image.
        """
        upstream, entry = self.offer_debian()
        lock = {"rebuild": 0, "entries": {self.target: {"x86_64": entry}}}
        (self.root / "packer/base/upstream.lock.json").write_text(json.dumps(lock))
        self.own |= {"verify_from": [BUILDER]}
        self.variables = {"ssh_port": str(SSH_PORT)}
        self.write_settings()
        return upstream

    def offer_debian(self) -> tuple[str, dict[str, Any]]:
        """Have the cloud offer an image of Debian; return its id, and what a lock says of it."""
        raise NotImplementedError

    def compute_versions(self) -> dict[str, str]:
        """Return the versions of the checkout's images."""
        return {name: one.version for name, one in self._compute().items()}

    def _compute(self) -> dict[str, ImageVersion]:
        settings = load_settings(self.render_settings(), self.root)
        return compute_versions(self.root, settings, "x86_64")

    def run(self, *arguments: str, preview: bool = False) -> Outcome:
        """Have the images baked, then preview or update; the API's calls are in the outcome."""
        self.bake()
        self.cloud.read_new()
        return self.preview(*arguments) if preview else self.up(*arguments)

    def kill_when_moved(self) -> None:
        """Update, and kill the engine, and it alone, once traffic goes elsewhere."""
        with self.start_update(self.is_move) as engine:
            engine.kill()
        self.pulumi("cancel", "--yes", "-s", self.stack)

    def end_credentials_when_moved(self) -> str:
        """Update, and have every call refused once traffic begins to go elsewhere.

        Returns:
            What the run said; it ended by itself.
        """
        with self.start_update(lambda event: bool(event["event"] == "traffic")) as engine:
            self.cloud.end_credentials()
            assert engine.wait(self.timeout) != 0
            self.cloud.clear_faults()
        return (self.root.parent / "cut.log").read_text()

    @contextmanager
    def start_update(
        self, is_it: Callable[[Mapping[str, Any]], bool]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start an update; yield its engine once an event is noted."""
        self.bake()
        self.cloud.read_new()
        words = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "-s", self.stack]
        with (self.root.parent / "cut.log").open("w") as log:
            engine = subprocess.Popen(
                words, cwd=self.root, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            tenacity.Retrying(
                retry=tenacity.retry_if_result(lambda moved: not moved),
                wait=tenacity.wait_fixed(0.02),
                stop=tenacity.stop_after_delay(self.timeout),
            )(lambda: any(map(is_it, self.cloud.read_new())))
            yield engine
        finally:
            engine.kill()
            engine.wait()

    # what a test changes
    def break_app(self, service: str = "web") -> None:
        """Commit a broken application."""
        (self.root / "app" / f"broken-{service}").write_text("broken\n")

    def mend_app(self, service: str = "web") -> None:
        """Revert it."""
        (self.root / "app" / f"broken-{service}").unlink()

    # what is true
    def scope(self, service: str = "web") -> Scope:
        """Return a service's scope."""
        return Scope("immutable-servers", self.stack, service)

    def live(self, service: str = "web") -> str:
        """Return the generation that traffic goes to, empty when there is none."""
        weights = [event["weights"] for event in self.list_moves(service)]
        return next((name.split("-")[-2] for name in weights[-1]), "") if weights else ""

    def list_moves(self, service: str) -> list[dict[str, Any]]:
        """Return each change of where a service's traffic goes."""
        raise NotImplementedError

    def is_move(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is that traffic has gone elsewhere."""
        return bool(event["event"] == "traffic")

    def count_moves(self, done: Outcome) -> int:
        """Return how often a run changed where traffic goes."""
        return sum(map(self.is_move, done.events))

    def list_moving_calls(self) -> Sequence[str]:
        """Return the calls of one move, each as often as it is made."""
        return [self.calls.move]

    def groups(self) -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        raise NotImplementedError

    def count_changes(self, done: Outcome) -> list[str]:
        """Return the API's calls of a run that change something."""
        calls = [event["call"] for event in list_done(done.events)]
        return [one for one in calls if not one.rpartition(".")[2].startswith(self.reading)]

    def find_ways(self) -> list[str]:
        """Return the rules of ours that let somebody in to SSH."""
        raise NotImplementedError

    def list_images(self) -> dict[str, dict[str, Any]]:
        """Return the images that there are by name."""
        raise NotImplementedError

    def count_images(self) -> int:
        """Return how many images there are."""
        return len(self.list_images())

    def end_server(self, generation: str) -> None:
        """End a server of a generation by hand."""
        raise NotImplementedError

    def list_left(self) -> list[str]:
        """Return what there is beside networks and images."""
        raise NotImplementedError

    @staticmethod
    def name_image(image: str, version: str) -> str:
        """Return what the cloud calls an image."""
        raise NotImplementedError

    @staticmethod
    def find_refused(events: Sequence[Mapping[str, Any]], *names: str) -> set[str]:
        """Return what the target's policies refuse of calls, by default those of a deploy."""
        raise NotImplementedError

    def find_address(self) -> str:
        """Return where the service answers."""
        done = self.pulumi("stack", "output", "services", "--json", "-s", self.stack)
        found: str = json.loads(done.stdout)["web"]["address"]
        return found

    def ask_three_questions(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert what must hold after every case.

        Does the balancer point to a fleet that exists, is whole and was verified? Was nothing
        deleted that served? Is the next `up` with nothing to do clean?
        """
        self.assert_serving(service, servers=servers)
        again = self.run()
        assert again.code == 0, again.text
        assert again.changes == {}, (again.steps, again.text)
        assert self.count_changes(again) == [], again.events

    def assert_serving(self, service: str = "web", *, servers: int = 2) -> None:
        """Assert the first two questions.

        Each time that the pointer moved, every server of the group that it moved to was healthy and
        sealed; and no server was ended while its group had the traffic, or got requests still.
        """
        live = self.live(service)
        assert live
        assert self.groups().get(live) == servers
        serving: set[str] = set()
        for event in self.cloud.read_all():
            if event["event"] in ("traffic", "served"):
                states = [state for group in event["targets"].values() for state in group.values()]
                assert all(s["state"] == "healthy" and s["sealed"] for s in states), event
                serving = {one for group in event["targets"].values() for one in group}
            assert not (event["event"] == "end" and event["instance"] in serving), event


AnyProject = CloudProject[Any]
ProjectT = TypeVar("ProjectT", bound=AnyProject)


class UnderTest(NamedTuple):
    """A cloud whose target is under test, as `conftest.py` of its folder names it.

    Attributes:
        start: Starts one, in a folder.
        polite: Manners of one that is quick, even and short of nothing.
        project: The kind of projects on it.
    """

    start: Callable[[Path], AbstractContextManager[EmulatedCloud]]
    polite: Mapping[str, Any]
    project: type[AnyProject]
