"""An `up` of the driver that a test stops while it waits for something."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.checkout import Checkout
from harness.local_stack import wait_until

STOPPED = 128 + signal.SIGINT


@contextmanager
def start_up(project: Checkout, told: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield an `up` of the driver, with a way to end it that a shell's background job has not."""
    with (
        told.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "immutable_servers.driver", "up", "dev", *words],
            cwd=project.root,
            env={**project.environment, "IMMUTABLE_PROJECT": str(project.root)},
            stdin=subprocess.DEVNULL,
            stderr=out,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def stop_when(project: Checkout, is_there: Callable[[], object], *words: str) -> str:
    """Run an `up`, interrupt it once when something is there, and return what it said."""
    told = project.root.parent / "told"
    with start_up(project, told, *words) as process:
        wait_until(lambda: is_there() or process.poll() is not None, every=0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(project.timeout) == STOPPED, told.read_text()
    return told.read_text()
