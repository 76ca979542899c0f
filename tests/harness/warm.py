"""Starts the warm interpreter for a session of tests, with the `python` that asks it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
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
def start_warm(
    folder: Path, modules: Sequence[str] = (), folders: Sequence[Path] = ()
) -> Iterator[Warm]:
    """Yield a warm interpreter, which ends with the block.

    Args:
        folder: An empty one of its own, whose name must be short.
        modules: What it imports beside what every run does.
        folders: Where those are found; its forks do not look there.
    """
    warm = Warm(folder / "bin" / "python3", folder / "socket")
    warm.python.parent.mkdir(parents=True)
    source = (HERE / "warm_python.py").read_text()
    known = {name: value for name, value in warm.render("").items() if name.startswith("WARM_")}
    source = source.replace("= {}", f"= {known!r}", 1)
    warm.python.write_text(f"#!{sys.executable} -IS\n{source}")
    warm.python.chmod(0o755)
    server = [sys.executable, str(HERE / "warm_server.py")]
    with subprocess.Popen(
        [*server, str(warm.socket), ":".join(map(str, folders)), *modules],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "components")},
        stdin=subprocess.PIPE,
        start_new_session=True,
    ) as started:
        wait_until_listening(warm.socket, started)
        yield warm
        assert started.stdin
        started.stdin.close()


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
