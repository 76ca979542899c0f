"""A client of the instant target: looks all the time at what the balancer points to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.004
"""Seconds between two looks."""


class Watcher(threading.Thread):
    """Notes each moment at which a service was not served by a whole and verified fleet.

    Attributes:
        looks: How often it looked while something served.
        wrong: What it saw that must not be.
        excused: Generations that somebody harmed by hand.
    """

    def __init__(self, world: Path) -> None:
        super().__init__(daemon=True)
        self.world = world
        self.looks = 0
        self.wrong: list[str] = []
        self.excused: set[str] = set()
        self.sealed: set[str] = set()
        self.noted = 0
        self.served: set[str] = set()
        self.had: dict[str, int] = {}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Look until it is stopped."""
        while not self.stopped.wait(EVERY):
            for pointer in (self.world / "traffic").glob("*.json"):
                self.look(pointer)

    def look(self, pointer: Path) -> None:
        """Look once; what changed while it looked is left for the next time."""
        before = read(pointer)
        fault = self.find_fault(pointer.stem, json.loads(before or "{}"))
        if fault and read(pointer) == before:
            self.wrong.append(fault)
        self.looks += 1

    def find_fault(self, service: str, weights: dict[str, int]) -> str:
        """Say what is wrong with those that have traffic; empty when nothing is."""
        serving = [generation for generation, weight in weights.items() if weight]
        if serving:
            self.served.add(service)
        elif service in self.served:
            return f"{service}: nobody serves"
        for generation in serving:
            name = f"{service}-{generation}"
            if generation not in self.excused and not self.is_whole(name):
                return f"{name} serves and is not whole"
            if not self.is_sealed(generation) and self.count_servers(name):
                return f"{name} serves and was not verified and sealed"
        return ""

    def is_whole(self, name: str) -> bool:
        """Tell whether a fleet has all its servers; while it grows, those that it had."""
        spec = read(self.world / "fleets" / name / "spec.json")
        servers = self.count_servers(name)
        wanted = json.loads(spec)["servers"] if spec else servers + 1
        had = self.had.get(name, wanted)
        self.had[name] = servers
        return servers >= min(had, wanted)

    def count_servers(self, name: str) -> int:
        """Count the servers of a fleet."""
        return len(list((self.world / "fleets" / name).glob("server-*")))

    def is_sealed(self, generation: str) -> bool:
        """Tell whether a generation was sealed, which only a verified one is."""
        journal = self.world / "journal.jsonl"
        size = journal.stat().st_size if journal.exists() else 0
        if size != self.noted:
            self.noted, self.sealed = size, find_sealed(journal)
        return generation in self.sealed


def find_sealed(journal: Path) -> set[str]:
    """Return the generations that were sealed, and not deleted by hand since."""
    sealed: set[str] = set()
    for event in map(json.loads, read(journal).splitlines()):
        if event["event"] == "seal":
            sealed.add(event["generation"])
        elif event["event"] == "lost":
            sealed.discard(event["generation"])
    return sealed


def read(file: Path) -> str:
    """Return a file's text, empty when there is none."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


@contextmanager
def start_watching(world: Path) -> Iterator[Watcher]:
    """Yield a client that looks all the time; at the end it must have seen nothing wrong."""
    watcher = Watcher(world)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.stopped.set()
        watcher.join()
    assert watcher.wrong == [], watcher.wrong
    assert watcher.looks
