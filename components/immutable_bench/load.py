"""The load run: 500 requests in a second while traffic moves to and fro.

On servers that can take them (`driver/load`), behind the real HAProxy, moved by the real program.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from immutable_bench.client import Answer, measure_load, start_clients
from immutable_bench.load_servers.target import NAME
from immutable_bench.runs import find_address
from immutable_bench.scratch import find_free_port, make_environment
from immutable_bench.table import Measured, Place, measurement
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.run import run_engine
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.requests import VARIABLE, Request
from immutable_servers.system import places
from immutable_servers.targets import ENTRY_POINTS

RATE = 500
SECONDS = 60.0
MOVES = 3
QUIET = 15.0
"""Seconds of load before the first move."""
ENTRY = f"[{ENTRY_POINTS}]\n{NAME} = immutable_bench.load_servers.target:ProcessTarget\n"
TEMPLATE = """source "null" "image" {
  communicator = "none"
}

build {
  sources = ["source.null.image"]
}
"""
CHECK = '''"""The one promise of a load run's server."""


def test_it_runs_commands(host):
    """Whether it answers is asked before the checks."""
    assert host.run("true").rc == 0
'''


@dataclass
class LoadStack:
    """A stack whose servers are processes.

    Attributes:
        spans: When runs began and ended, on the monotonic clock.
    """

    stack: Stack
    port: int
    spans: list[tuple[float, float]] = field(default_factory=list)

    def write(self, release: str) -> None:
        """Write the stack's file; another release is another generation."""
        service: dict[str, Any] = {
            "image": "app",
            "servers": 2,
            "port": 80,
            "route": {"port": self.port},
            "checks": ["checks"],
            "env": {"RELEASE": release},
            "drain": "10s",
        }
        settings = {"target": NAME, "images": {"app": {}}, "services": {"web": service}}
        values = {f"load:{key}": value for key, value in settings.items()}
        file = places.stack_file(self.stack.root, self.stack.name)
        file.write_text(json.dumps({"config": values}))  # JSON is YAML too

    def up(self, request: Request | None = None) -> Mapping[str, Any]:
        """Update the stack, as asked; return its outputs.

        Raises:
            ImmutableError: The run failed.
        """
        asked = {VARIABLE: request.render()} if request else {}
        stack = replace(self.stack, environment={**self.stack.environment, **asked})
        reporter = Reporter()
        began = time.monotonic()
        ended = run_engine(stack, ["up", "--yes", "--skip-preview"], reporter)
        self.spans.append((began, time.monotonic()))
        if ended.code:
            facts = [*reporter.render_errors(), *ended.output]
            raise ImmutableError("A run of the load's stack failed", facts=facts)
        return reporter.outputs

    def destroy(self) -> None:
        """Remove all of it.

        Raises:
            ImmutableError: Something is left.
        """
        self.stack.run("state", "unprotect", "--all", "--yes")
        words = ["destroy", "--yes", "--skip-preview"]
        ended = run_engine(self.stack, words, Reporter())
        if ended.code:
            raise ImmutableError("The load's stack could not be destroyed", facts=ended.output)


@contextmanager
def start_load_stack() -> Iterator[LoadStack]:
    """Yield a stack of processes in a project of its own; destroy it, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="immutable-load-") as folder:
        root, plugin = Path(folder, "project"), Path(folder, "plugin")
        write_project(root)
        write_plugin(plugin)
        made = make_environment(root)
        path = os.pathsep.join(filter(None, [str(plugin), made.get("PYTHONPATH")]))
        stack = Stack(root, f"load-{os.getpid()}", {**made, "PYTHONPATH": path}, own=True)
        load = LoadStack(stack, find_free_port())
        load.write("one")
        try:
            yield load
        finally:
            load.destroy()


def write_project(root: Path) -> None:
    """Write a project with one image, which is never baked, and one check."""
    for folder in ("packer/app", "checks"):
        (root / folder).mkdir(parents=True)
    runtime = f"{{name: python, options: {{virtualenv: {sys.prefix}}}}}"
    (root / places.PROJECT_FILE).write_text(f"name: load\nruntime: {runtime}\n")
    (root / "__main__.py").write_text((CHECKOUT / "__main__.py").read_text())
    (root / "checks" / "test_promise.py").write_text(CHECK)
    (root / "packer" / "app" / f"{NAME}.pkr.hcl").write_text(TEMPLATE)
    lock = {"rebuild": 0, "entries": {NAME: {"x86_64": {"release": "none"}}}}
    (root / "packer" / "app" / "upstream.lock.json").write_text(json.dumps(lock))


def write_plugin(folder: Path) -> None:
    """Write what makes the target known, as another package's would be."""
    place = folder / "immutable_servers_load-0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: immutable-servers-load\n")
    (place / "entry_points.txt").write_text(ENTRY)


@measurement("load", f"{RATE} requests/s for {SECONDS:.0f} s through {MOVES} moves: 0 failed")
def measure(place: Place) -> Measured:
    """Ask while a new generation takes over, is rolled back, and taken again."""
    del place
    with start_load_stack() as stack:
        outputs = stack.up()
        address = find_address(outputs, "web")
        stack.spans.clear()
        with start_clients(address, RATE) as clients:
            began = time.monotonic()
            wait(QUIET)
            lives = [outputs["services"]["web"]["live"], *move_to_and_fro(stack)]
            wait(SECONDS - (time.monotonic() - began))
            ended = time.monotonic()
    if sum(before != after for before, after in pairwise(lives)) != MOVES:
        raise ImmutableError("Traffic did not move in each run", facts=lives)
    return judge(clients.answers, (began, ended), stack.spans)


def move_to_and_fro(stack: LoadStack) -> list[str]:
    """Cut over to a new generation, roll back, forward again; return who was live each time."""
    stack.write("two")
    moved = stack.up()
    records = moved["ledger"]["web"]["generations"].values()
    old = next(record for record in records if record["state"] == "standby")
    pin = Pinned(old["generation"], who="bench", at="now", why="the load run")
    runs = [moved, stack.up(Request(pins={"web": pin})), stack.up(Request(pins={"web": None}))]
    return [outputs["services"]["web"]["live"] for outputs in runs]


def judge(
    answers: list[Answer], whole: tuple[float, float], runs: list[tuple[float, float]]
) -> Measured:
    """Render what came; a rate that was not reached proves nothing."""
    starts = [whole[0], *(end for _, end in runs)]
    between = [
        (start, end) for start, (end, _) in zip(starts, [*runs, (whole[1], 0.0)], strict=True)
    ]
    total, moving, still = (measure_load(answers, *spans) for spans in ([whole], runs, between))
    for why in sorted({answer.why for answer in answers if not answer.ok}):
        console.say(f"  {sum(answer.why == why for answer in answers)} times: {why}")
    seconds = whole[1] - whole[0]
    words = (
        f"{total.failed} failed of {total.requests} in {seconds:.0f} s"
        f" ({total.rate:.0f}/s of {RATE}), longest gap {1000 * total.gap:.0f} ms,"
        f" 99 % within {1000 * moving.latency:.0f} ms in the runs that move traffic and"
        f" {1000 * still.latency:.0f} ms without"
    )
    return Measured(words, not total.failed and total.has_reached(RATE))


def wait(seconds: float) -> None:
    """Let time pass in which nothing is done but asking."""
    if seconds > 0:
        threading.Event().wait(seconds)
