"""What there is in the emulated account: things of a kind by their ids.

Whoever reads or changes it holds the world's lock.
"""

import copy
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from clouds.digitalocean.emulation.refusals import refuse_missing

Thing = dict[str, Any]
FIRST = 1001


class Store:
    """Things by kind, such as `droplets`, and id; texts are the ids of all.

    A key of a thing that begins with `_` is known to the emulation alone.

    Attributes:
        changes: How many there have been.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.kinds: dict[str, dict[str, Thing]] = {}
        self.changes = 0
        self.numbers = itertools.count(FIRST)

    def find(self, kind: str, which: object) -> Thing | None:
        """Return a thing, to be read alone; None when there is none."""
        return self.kinds.get(kind, {}).get(str(which))

    def get(self, kind: str, which: object) -> Thing:
        """Return a thing, to be read alone.

        Raises:
            Refusal: There is none.
        """
        found = self.find(kind, which)
        if found is None:
            raise refuse_missing()
        return found

    def list(self, kind: str) -> list[Thing]:
        """Return the things of a kind, in the order in which they were made."""
        return [*self.kinds.get(kind, {}).values()]

    def put(self, kind: str, which: object, thing: Mapping[str, Any]) -> Thing:
        """Have a thing be so from now on; it is a copy."""
        self.changes += 1
        whole = copy.deepcopy(dict(thing))
        self.kinds.setdefault(kind, {})[str(which)] = whole
        return whole

    def change(self, kind: str, which: object, **fields: Any) -> Thing:  # noqa: ANN401 - the API's
        """Have fields of a thing be otherwise."""
        return self.put(kind, which, {**self.get(kind, which), **fields})

    def remove(self, kind: str, which: object) -> None:
        """Have a thing be gone."""
        self.get(kind, which)
        self.changes += 1
        del self.kinds[kind][str(which)]

    def tell_time(self) -> str:
        """Return the time as answers say it."""
        moment = datetime.fromtimestamp(self.now(), UTC)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def show(thing: Thing) -> Thing:
    """Return what the API says of a thing."""
    return {key: value for key, value in thing.items() if not key.startswith("_")}
