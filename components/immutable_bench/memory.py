"""Samples the memory of a run beside its machines."""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.5
"""Seconds between two samples."""
NOT_COUNTED = ("qemu-system", "haproxy")
"""What serves, and what a machine is: not the run's own."""
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass
class Memory:
    """The most that was seen, in bytes, and of which programs it was the sum."""

    most: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)


@contextmanager
def start_sampling(mark: str) -> Iterator[Memory]:
    """Yield what the processes whose environment holds `mark` with our pid take.

    The proportional set size is summed up, so that memory which processes share counts once.
    """
    memory, stop = Memory(), threading.Event()

    def sample() -> None:
        while not stop.wait(EVERY):
            parts = measure(f"{mark}={os.getpid()}")
            if sum(parts.values()) > memory.most:
                memory.most, memory.parts = sum(parts.values()), parts

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def measure(variable: str) -> dict[str, int]:
    """Return the bytes that the processes with this variable take now, by program."""
    wanted = b"\0" + variable.encode() + b"\0"
    parts: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in b"\0" + (folder / "environ").read_bytes():
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if not Path(words[0]).name.startswith(NOT_COUNTED):
                    name = f"{folder.name} {' '.join(Path(word).name for word in words[:4])}"
                    parts[name] = read_pss(folder)
    return parts


def read_pss(folder: Path) -> int:
    """Return a process's proportional set size in bytes; 0 where the kernel does not tell."""
    with suppress(OSError):
        found = PSS.search((folder / "smaps_rollup").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0
