"""Fleets as launches leave them, and small processes in the place of machines."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tenacity

from immutable_servers.contract.values import FleetSpec, Launch, Scope
from immutable_servers.system.files import write_json
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.fleet_records import FleetRecord
from immutable_servers.targets.local.settings import Size

STACK = Scope("shop", "dev")
ARTIFACT = "app/000000000001"


def make_fleet(name: str, stack: Scope = STACK) -> Path:
    """Make a fleet of one server as a launch leaves it, without its process; return its folder."""
    service, _, generation = name.rpartition("-")
    scope = Scope(stack.project, stack.stack, service, generation)
    folder = layout.generation_dir(scope)
    (folder / "servers/0").mkdir(parents=True)
    spec = FleetSpec(scope, ARTIFACT, Launch("small", 80, "/"), 1, {"order": 1})
    record = FleetRecord(spec, Size(memory=512, cpus=1), launched=True)
    write_json(folder / "record.json", record.to_plain())
    return folder


@contextmanager
def start_process(program: str, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that does nothing under the name and with the arguments of another."""
    command = [program, "-c", "read line", "waits", *words]
    with subprocess.Popen(command, executable="/bin/bash", stdin=subprocess.PIPE) as process:
        try:
            _wait_until_named(process.pid)
            yield process
        finally:
            process.kill()


@tenacity.retry(
    retry=tenacity.retry_if_result(lambda named: not named),
    wait=tenacity.wait_fixed(0.01),
    stop=tenacity.stop_after_delay(10),
)
def _wait_until_named(pid: int) -> bool:
    """Wait for the command line, which the kernel sets after `Popen` has seen the exec."""
    return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
