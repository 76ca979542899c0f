"""A sample project on the local target: real Packer, QEMU, HAProxy and testinfra."""

import http.client
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import tenacity

from harness.checkout import ROOT, Checkout, Outcome
from harness.haproxy_world import Client, ask, find_free_port
from immutable_servers.system.supervisor import find_descendants

SAMPLE = ROOT / "tests" / "local" / "sample"
TOKEN = "the-secret-of-the-bake-5d1c7b"  # noqa: S105 - a made-up one, which the tests look for
MIRROR = "https://the-login-of-a-mirror@packages.example.com"
"""A made-up one, which the setting `bake` hands to bakes, and the tests look for."""
PORTS = (12000, 12999)
"""Not the default range: a developer's own stacks may run beside."""
PROVIDERS = b"/pulumi-resource-pulumi-python\0"
"""In the command line of the process that serves a run's dynamic providers."""
GONE_SECONDS = 60
"""What was killed or interrupted may clean up for so long."""


@dataclass(frozen=True)
class World:
    """What the stacks of one session share: images, machines and sockets, in one short folder.

    Unix sockets have short names, so it is not pytest's own folder.
    """

    folder: Path

    @property
    def data(self) -> Path:
        """Images, machines and balancers."""
        return self.folder / "data" / "immutable-servers"

    @property
    def environment(self) -> dict[str, str]:
        """Where the program keeps what it makes."""
        folders = {"DATA_HOME": "data", "CACHE_HOME": "cache", "RUNTIME_DIR": "run"}
        return {f"XDG_{name}": str(self.folder / value) for name, value in folders.items()}

    def find_processes(self, *words: str) -> dict[int, str]:
        """Return command lines by pid: those that name this folder, and each of the words."""
        found: dict[int, str] = {}
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(word in line for word in (f"{self.folder}/", *words)):
                    found[int(file.parent.name)] = line
        return found

    def find_bakes(self) -> dict[int, str]:
        """Return the machines of bakes, and the Packers, that run."""
        return {
            **self.find_processes("qemu-system", "/output/disk.qcow2"),
            **self.find_processes("packer "),
        }

    def find_halves(self) -> list[Path]:
        """Return folders of images that are not whole."""
        return list((self.data / "images").glob("*/.*"))

    def find_left(self) -> list[str]:
        """Return what should be gone when every stack is destroyed."""
        folders = [self.data / "stacks", *self.find_halves()]
        ports = [path for path in (self.data / "ports").glob("*") if path.name != "lock"]
        sockets = [path for path in (self.folder / "run").rglob("*") if not path.is_dir()]
        paths = [path for path in (*folders, *ports, *sockets) if path.exists()]
        return [str(path) for path in paths] + list(self.find_processes().values())


def add_odd_files(app: Path) -> None:
    """Add what an upload of files would change or refuse; the sample's checks look for it."""
    (app / "run").write_text("#!/bin/sh\n")
    (app / "run").chmod(0o755)
    (app / "two\nlines").write_text("odd\n")
    links = {"start": "run", "host": "/etc/hostname", "gone": "/srv/uploads", "loop": "."}
    for name, to in links.items():
        (app / name).symlink_to(to)


@dataclass
class LocalStack(Checkout):
    """A copy of the sample with a stack on the local target.

    Attributes:
        world: What it shares with the other stacks of the session.
        servers: How many its service has.
        port: Where its service answers.
        deadline: How long the bake of the app may take.
        boot_deadline: Seconds that a server may take to serve.
        servers_reach: What servers can connect to.
    """

    world: World = field(kw_only=True)
    servers: int = 1
    port: int = field(default_factory=find_free_port)
    deadline: str = "15m"
    boot_deadline: int = 180
    servers_reach: str = "nothing"

    sample: ClassVar[Path] = SAMPLE
    timeout: ClassVar[int] = 900

    @classmethod
    def create(cls, world: World, name: str, servers: int) -> "LocalStack":
        """Copy the sample and the project's own base, and make the stack."""
        folder = world.folder / name
        root = folder / "project"
        shutil.copytree(SAMPLE, root)
        shutil.copytree(ROOT / "packer" / "base", root / "packer" / "base")
        shutil.copy(ROOT / "__main__.py", root)
        (folder / "state").mkdir()
        made = cls(root, stack=name, world=world, servers=servers)
        made.put_all_back()
        add_odd_files(root / "app")
        made.pulumi("stack", "init", name)
        made.pulumi("config", "set", "--secret", "token", TOKEN, "-s", name)
        return made

    @property
    def environment(self) -> dict[str, str]:
        """Keep everything in the session's world."""
        return {**super().environment, **self.world.environment, "SAMPLE_MIRROR": MIRROR}

    def render_settings(self) -> dict[str, Any]:
        """Return the settings from the fields."""
        app = {"parent": "base", "sources": ["app"], "secrets": ["token"]}
        return {
            "target": "local",
            "images": {"base": {}, "app": {**app, "deadline": self.deadline}},
            "bake": {"env": {"MIRROR": "$SAMPLE_MIRROR"}},
            "services": self.services,
            "local": {
                "port_range": list(PORTS),
                "boot_deadline": self.boot_deadline,
                "servers_reach": self.servers_reach,
            },
        }

    def update(self) -> Outcome:
        """Run an update that has to succeed."""
        done = self.up()
        assert done.code == 0, done.text
        return done

    @contextmanager
    def start_up(self) -> Iterator["Run"]:
        """Yield an update that runs by itself, in a process group of its own as in a terminal."""
        log = self.root.parent / "up.log"
        command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "-s", self.stack]
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Run(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            self.pulumi("cancel", "--yes", "-s", self.stack, check=False)

    # what a test changes
    def change(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the project."""
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def set_env(self, **env: str) -> None:
        """Give the servers another environment, which needs a new generation and no bake."""
        self.services["web"]["env"] = env
        self.write_settings()

    def put_all_back(self) -> None:
        """Take every file from the sample, and the settings as they were at first."""
        for file in (path for path in SAMPLE.rglob("*") if path.is_file()):
            self.put_back(str(file.relative_to(SAMPLE)))
        self.deadline, self.boot_deadline, self.servers_reach = "15m", 180, "nothing"
        self.services["web"] = {
            "image": "app",
            "servers": self.servers,
            "port": 8000,
            "route": {"port": self.port},
            "checks": ["servers"],
            "drain": "5s",
        }
        self.write_settings()

    # what is true
    def ask_version(self) -> dict[str, Any]:
        """Return what `/version` answers at the stack's address."""
        status, text = ask(self.port, "/version")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def live(self) -> str:
        """Return the generation that answers at the stack's address."""
        generation: str = self.ask_version()["generation"]
        return generation

    @property
    def folder(self) -> Path:
        """The stack's machines and balancer."""
        return self.world.data / "stacks" / "immutable-servers" / self.stack

    def generation_folder(self, generation: str) -> Path:
        """Return the folder of a generation."""
        return self.folder / "generations" / f"web-{generation}"

    def machines(self, generation: str) -> dict[str, Mapping[str, Any]]:
        """Return the machines of a generation by server name."""
        files = sorted(self.generation_folder(generation).glob("servers/*/machine.json"))
        found = [json.loads(file.read_text()) for file in files]
        return {machine["name"]: machine for machine in found}

    def find_machine_processes(self, generation: str = "") -> list[int]:
        """Return the pids of the QEMUs of a generation, or of the stack."""
        words = ("qemu-system", f"/{self.stack}/generations/web-{generation}")
        return list(self.world.find_processes(*words))

    def find_balancer_processes(self) -> list[int]:
        """Return the pids of the stack's HAProxy."""
        return list(self.world.find_processes("haproxy", f"/{self.stack}/balancer"))

    def assert_nothing_left(self) -> None:
        """Assert that `sweep` finds nothing which nothing owns."""
        done = self.run_driver("sweep", self.stack, "--yes")
        assert "Nothing is left over" in done.stderr, done.stdout + done.stderr

    def assert_sealed(self, generation: str) -> None:
        """Assert that no login is left: no route, no key."""
        machines = self.machines(generation)
        assert machines
        assert {machine["ssh_port"] for machine in machines.values()} == {0}
        folder = self.generation_folder(generation)
        assert not [
            name
            for name in ("key", "key.pub", "ssh_config", "inspection")
            if (folder / name).exists()
        ]
        for pid in self.find_machine_processes(generation):
            ports = {machine["http_port"] for machine in machines.values()}
            assert find_listening_ports(pid) <= ports

    @contextmanager
    def start_clients(self) -> Iterator[list[Client]]:
        """Yield two clients that ask all the time, one of them on a connection that is kept."""
        clients = [
            Client(self.port, rate, keep_alive=keep) for rate, keep in ((50, False), (20, True))
        ]
        for client in clients:
            client.start()
        try:
            yield clients
        finally:
            for client in clients:
                client.stop()


@dataclass(frozen=True)
class Run:
    """An update under way."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()

    def kill_engine(self) -> None:
        """End the engine, and it alone, as `kill -9` does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_provider(self) -> None:
        """End the process of the dynamic providers as `kill -9` does."""
        pids = find_descendants(self.process.pid)
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
        (provider,) = (pid for pid, line in lines.items() if PROVIDERS in line)
        os.kill(provider, signal.SIGKILL)

    def _said(self, word: str) -> bool:
        return word in self.text

    def interrupt(self) -> int:
        """Do what Ctrl-C does, and again, for the engine waits for what is under way at first."""
        for said in ("", "cancelling"):
            wait_until(partial(self._said, said), GONE_SECONDS)
            os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(GONE_SECONDS)

    def wait_until(self, is_true: Callable[[], object]) -> None:
        """Wait until something holds, looking a hundred times a second.

        Raises:
            AssertionError: It did not before the run ended or the deadline; with what it printed.
        """

        def is_over() -> object:
            return is_true() or self.process.poll() is not None

        try:
            wait_until(is_over, every=0.01)
        except tenacity.RetryError as error:
            raise AssertionError(self.text) from error
        assert self.process.poll() is None, self.text

    def wait(self) -> int:
        """Return the exit code."""
        return self.process.wait(LocalStack.timeout)


def wait_until(is_true: Callable[[], object], seconds: float = 240, every: float = 0.1) -> None:
    """Wait until something holds, looking `every` so many seconds.

    Raises:
        tenacity.RetryError: It did not before the deadline.
    """
    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: not found),
        wait=tenacity.wait_fixed(every),
        stop=tenacity.stop_after_delay(seconds),
    )(is_true)


def find_listening_ports(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(str(link.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[1].rpartition(":")[2], 16)
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


def answers(port: int) -> bool:
    """Say whether anybody answers on a port."""
    try:
        ask(port)
    except (OSError, http.client.HTTPException):
        return False
    return True
