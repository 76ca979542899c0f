"""Samples the memory of a run, without its machines."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

EVERY = 0.5
"""Seconds between two samples."""
NOT_COUNTED = ("qemu-system", "haproxy")
"""What serves, and what a machine is: not the run's own."""


@dataclass
class Memory:
    """The highest sum that was sampled, in bytes, and its parts by program."""

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
    parts: dict[str, int] = {}
    name, _, value = variable.partition("=")
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # It has just ended, or is another user's.
            if process.environ().get(name) == value:
                words = [Path(word).name for word in process.cmdline()[:4]]
                if words and not words[0].startswith(NOT_COUNTED):
                    parts[f"{process.pid} {' '.join(words)}"] = process.memory_full_info().pss
    return parts
