"""What there is in the emulated cloud: things by their paths, who uses them, and what was before.

Whoever reads or changes it holds the world's lock.
"""

import base64
import copy
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from clouds.gcp.emulation.links import list_references, make_link
from clouds.gcp.emulation.refusals import Refusal, refuse_missing

Thing = dict[str, Any]
SELFLESS = ("operations", "machineTypes", "diskTypes")
"""Kinds of which there are many, and that use nothing."""
KEPT_SECONDS = 20.0
"""How long it is known what was before a change."""


class Store:
    """Things by their paths, such as `projects/p/global/urlMaps/web`.

    Attributes:
        kinds: The same by the last word but one of their paths, such as `urlMaps`.
        changes: How many there have been.
        left: Paths that still count as used by something that is gone, until when.
        pending: Paths with an operation under way.
    """

    def __init__(self, now: Callable[[], float], linger: Callable[[str], float]) -> None:
        self.now, self.linger = now, linger
        self.things: dict[str, Thing] = {}
        self.kinds: dict[str, dict[str, Thing]] = {}
        self.before: dict[str, list[tuple[float, Thing | None]]] = {}
        self.left: dict[str, dict[str, float]] = {}
        self.pending: dict[str, str] = {}
        self.changes = self.made = 0

    # reading
    def find(self, path: str) -> Thing | None:
        """Return a thing, to be read alone; None when there is none."""
        return self.things.get(path)

    def get(self, path: str) -> Thing:
        """Return a copy of a thing.

        Raises:
            Refusal: There is none.
        """
        if path not in self.things:
            raise refuse_missing(path)
        return copy.deepcopy(self.things[path])

    def list(self, collection: str) -> dict[str, Thing]:
        """Return the things right under a path, by their paths and in the order of their names."""
        found = self.list_all(collection.rpartition("/")[2])
        return {path: one for path, one in found.items() if path.rpartition("/")[0] == collection}

    def list_all(self, collection: str) -> dict[str, Thing]:
        """Return the things of a kind in every project, zone and region."""
        return dict(sorted(self.kinds.get(collection, {}).items()))

    def show_past(self, seconds: float) -> dict[str, Thing]:
        """Return what there was some seconds ago."""
        then = time.monotonic() - seconds
        past = dict(self.things)
        for path, states in self.before.items():
            state = next((old for until, old in states if until > then), past.get(path))
            if state is None:
                past.pop(path, None)
            else:
                past[path] = state
        return past

    # changing
    def make(self, path: str, thing: Mapping[str, Any]) -> Thing:
        """Add a thing with what every one has: number, name, link and time."""
        self.made += 1
        number = int.from_bytes(hashlib.sha256(f"{path} {self.made}".encode()).digest()[:7])
        whole = {
            **thing,
            "id": str(10**18 + number),
            "name": path.rpartition("/")[2],
            "selfLink": make_link(path),
            "creationTimestamp": self.tell_time(),
        }
        self.put(path, whole)
        return whole

    def put(self, path: str, thing: Thing) -> None:
        """Have a thing be so from now on; what is given here is not changed afterwards."""
        self._keep(path, thing)
        self.things[path] = self.kinds.setdefault(path.split("/")[-2], {})[path] = thing

    def remove(self, path: str) -> None:
        """Have a thing be gone."""
        self._keep(path, None)
        self.things.pop(path, None)
        self.kinds.get(path.split("/")[-2], {}).pop(path, None)

    def _keep(self, path: str, new: Thing | None) -> None:
        self.changes += 1
        now, old = time.monotonic(), self.things.get(path)
        young = [one for one in self.before.get(path, []) if one[0] > now - KEPT_SECONDS]
        self.before[path] = [*young, (now, old)]
        kept = {used for _, used in list_references(new or {})}
        for _, used in list_references(old or {}):
            if used not in kept:
                self.left.setdefault(used, {})[path] = now + self.linger(used)

    # who uses what
    def list_users(self, path: str) -> Iterator[str]:
        """Yield the paths of what refers to a thing, those that are gone for a while too."""
        now = time.monotonic()
        for kind, things in self.kinds.items():
            for user, thing in things.items() if kind not in SELFLESS else ():
                if any(used == path for _, used in list_references(thing)):
                    yield user
        for user, until in self.left.get(path, {}).items():
            if until > now:
                yield user

    def tell_time(self) -> str:
        """Return the time as answers say it."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")


def make_fingerprint(content: object) -> str:
    """Return what says whether content is still what was read."""
    text = json.dumps(content, sort_keys=True)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def check_fingerprint(given: object, now: object) -> None:
    """Refuse a change of something that was read before another change.

    Raises:
        Refusal: The fingerprint is old, or there is none.
    """
    if given != now:
        raise Refusal(
            "conditionNotMet", "Invalid fingerprint.", location="If-Match", locationType="header"
        )


__all__ = ["Store", "Thing", "check_fingerprint", "make_fingerprint"]
