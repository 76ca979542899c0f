"""Samples the memory of a run beside its machines."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.5
"""Seconds between two samples."""
NOT_COUNTED = ("qemu-system", "haproxy")
"""What serves, and what a machine is: not the run's own."""
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass
class Memory:
    """The most that was seen, in bytes."""

    most: int = 0


@contextmanager
def start_sampling(mark: str) -> Iterator[Memory]:
    """Yield what this process and those whose environment holds `mark` with our pid take.

    The proportional set size is summed up, so that memory which processes share counts once.
    """
    memory, stop = Memory(), threading.Event()

    def sample() -> None:
        while not stop.wait(EVERY):
            memory.most = max(memory.most, measure(f"{mark}={os.getpid()}"))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def measure(variable: str) -> int:
    """Return the bytes that this process and those with this variable take now."""
    wanted = b"\0" + variable.encode() + b"\0"
    total = read_pss(Path("/proc/self"))
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in b"\0" + (folder / "environ").read_bytes() and _counts(folder):
                total += read_pss(folder)
    return total


def read_pss(folder: Path) -> int:
    """Return a process's proportional set size in bytes; 0 where the kernel does not tell."""
    with suppress(OSError):
        found = PSS.search((folder / "smaps_rollup").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def _counts(folder: Path) -> bool:
    program = (folder / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return not Path(program).name.startswith(NOT_COUNTED)
