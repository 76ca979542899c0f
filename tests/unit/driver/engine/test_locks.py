"""Which locks on a stack are stale."""

import json
import os
import subprocess
from pathlib import Path

from immutable_servers.driver.engine import environment
from immutable_servers.driver.engine.locks import clear_stale_locks
from immutable_servers.driver.engine.stack import Stack


def test_only_a_dead_run_s_lock_is_taken_away(project: Path) -> None:
    """A lock of a process that is gone goes; one of another host or of a live engine stays."""
    folder = environment.state_dir(project) / ".pulumi/locks/organization/shop/dev"
    folder.mkdir(parents=True)
    gone = subprocess.Popen(["true"])
    gone.wait()
    alive = subprocess.Popen(
        ["sh", "-c", "echo ready; read _; : pulumi"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert alive.stdout
    alive.stdout.readline()
    here = os.uname().nodename
    for name, pid, host in (
        ("dead", gone.pid, here),
        ("elsewhere", gone.pid, "another-host"),
        ("alive", alive.pid, here),
    ):
        (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "hostname": host}))
    (folder / "strange.json").write_text("{}")
    clear_stale_locks(Stack(project, "dev", {}, own=True))
    left = {file.name for file in folder.iterdir()}
    alive.communicate(b"")
    assert left == {"elsewhere.json", "alive.json", "strange.json"}
