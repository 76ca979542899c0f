"""Operations under way: each is accepted, and brings about what it is for when it is done."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clouds.gcp.emulation.calls import Call, find_place, locate
from clouds.gcp.emulation.links import make_link
from clouds.gcp.emulation.refusals import Refusal
from clouds.gcp.emulation.store import Thing

if TYPE_CHECKING:
    from clouds.gcp.emulation.world import World

USER = "emulated@project.iam.gserviceaccount.com"
"""Who makes every call."""


@dataclass
class Work:
    """An operation under way.

    Attributes:
        path: Of the operation.
        about: Of the thing that it is about.
        until: When it is done, by the monotonic clock.
        effect: What it brings about then; what it refuses is the operation's error.
        error: What it fails with, whatever it is for.
    """

    path: str
    about: str
    until: float
    effect: Callable[[], None]
    error: Mapping[str, str] = field(default_factory=dict)


class Works:
    """All of a world.

    Attributes:
        requests: Paths of operations by the id that who asked has given the request.
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.under_way: list[Work] = []
        self.requests: dict[str, str] = {}
        self.numbers = itertools.count(1)

    def take_due(self) -> list[Work]:
        """Return the operations whose time is over; they are no longer under way."""
        now = time.monotonic()
        due = [work for work in self.under_way if work.until <= now]
        self.under_way = [work for work in self.under_way if work.until > now]
        return due

    def begin(
        self,
        call: Call,
        about: str,
        effect: Callable[[], None] = lambda: None,
        *,
        kind: str = "",
        seconds: float | None = None,
    ) -> Thing:
        """Start an operation on a thing and return it; its effect comes when it is done.

        Args:
            call: Who wants it.
            about: The thing's path.
            effect: What happens when it is done, under the lock.
            kind: The operation's type; by default the method's name.
            seconds: How long it takes; by default the manners draw it.
        """
        store, manners, number = self.world.store, self.world.manners, next(self.numbers)
        if seconds is None:
            drawn = manners.draw("operation", call.method.name, number)
            seconds = manners.operation * (1 + drawn) / 2
        place = find_place(about)
        path = f"{place}/operations/operation-{number:06}"
        fault = self.world.take_fault(f"{call.method.name}:operation")
        operation = {
            "kind": "compute#operation",
            "operationType": kind or call.method.action,
            "targetLink": make_link(about),
            "targetId": (store.find(about) or {}).get("id", "0"),
            "status": "RUNNING",
            "progress": 0,
            "user": USER,
            "insertTime": store.tell_time(),
            "startTime": store.tell_time(),
            **locate(place),
        }
        store.make(path, operation)
        store.pending[about] = path
        work = Work(path, about, time.monotonic() + seconds, effect, fault or {})
        self.under_way.append(work)
        if request := call.parameters.get("requestId"):
            self.requests[request] = path
        answer = store.get(path)
        if seconds <= 0:
            self.world.settle()
        return answer

    def finish(self, work: Work) -> None:
        """Bring about what an operation is for, unless it is to fail."""
        store, error = self.world.store, dict(work.error)
        if store.pending.get(work.about) == work.path:
            del store.pending[work.about]
        if not error:
            try:
                work.effect()
            except Refusal as refusal:
                error = {"code": refusal.reason, "message": refusal.message}
        operation = store.get(work.path)
        operation |= {"status": "DONE", "progress": 100, "endTime": store.tell_time()}
        if error:
            code, message = error["code"], error.get("message", "a fault of the test")
            operation |= {
                "error": {"errors": [{"code": code, "message": message}]},
                "httpErrorStatusCode": int(error.get("http", 400)),
                "httpErrorMessage": "BAD REQUEST",
            }
        store.put(work.path, operation)
        self.world.journal.note(
            "done", operation=operation["operationType"], about=work.about, error=error
        )
