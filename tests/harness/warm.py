"""Starts the warm interpreter for a session of tests, with the `python` that asks it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tenacity

from harness import warm_python
from harness.checkout import ROOT

HERE = Path(__file__).parent
STARTS_WITHIN = 60
"""Seconds for the imports, on a machine that has other things to do."""


@dataclass(frozen=True)
class Warm:
    """A warm interpreter.

    Attributes:
        python: A stand-in for the interpreter, in a folder of its own.
        socket: Where the warm one listens.
    """

    python: Path
    socket: Path

    def render(self, path: str) -> dict[str, str]:
        """Return the variables that make it everybody's interpreter, before those of `path`."""
        return {
            "PATH": f"{self.python.parent}:{path}",
            "PULUMI_PYTHON_CMD": str(self.python),
            "WARM_PYTHON": str(self.python),
            warm_python.REAL: sys.executable,
            warm_python.SOCKET: str(self.socket),
        }


@contextmanager
def start_warm(folder: Path) -> Iterator[Warm]:
    """Yield a warm interpreter, which ends with the block; the name of `folder` must be short."""
    warm = Warm(folder / "bin" / "python3", folder / "socket")
    warm.python.parent.mkdir(parents=True)
    source = (HERE / "warm_python.py").read_text()
    warm.python.write_text(f"#!{sys.executable} -IS\n{source}")
    warm.python.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, str(HERE / "warm_server.py"), str(warm.socket)],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "components")},
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as server:
        wait_until_listening(warm.socket, server)
        yield warm
        assert server.stdin
        server.stdin.close()


def wait_until_listening(socket: Path, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the imports are done."""

    def look() -> bool:
        assert server.poll() is None, "the warm interpreter ended"
        return socket.exists()

    tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda there: not there),
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(STARTS_WITHIN),
    )(look)
