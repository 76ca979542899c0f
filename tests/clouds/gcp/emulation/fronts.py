"""Google's front ends: real HTTP listeners that follow URL maps late, unevenly, in no order.

A connection to an address lands on any of its front ends, and stays there; the next request on it
already goes by what that front end knows then.
https://docs.cloud.google.com/load-balancing/docs/https/request-distribution
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from clouds.gcp.emulation.health import Place, find_health
from clouds.gcp.emulation.links import read_path
from clouds.gcp.emulation.machines import CHECKER, find_machines
from clouds.gcp.emulation.manners import Manners
from clouds.gcp.emulation.routing import ACTIONS, Asked, find_action, list_services, pick_service
from clouds.gcp.emulation.series import Labels, Series
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World
from clouds.shared.cloud_tls import make_tls
from clouds.shared.cloud_upstream import Failed, Upstream
from clouds.shared.cloud_wire import Message, answer, serve

CLIENT_IDLE, SERVER_IDLE = 610.0, 600.0
"""Seconds after which a front end closes an idle connection of a client, and of a server."""
FOLLOWED = ("hostRules", "pathMatchers", *ACTIONS)
"""What of a map says what is done with a request."""
NO_ANSWER = "0"
"""The class of a request that no machine has answered."""


@dataclass(frozen=True)
class Service:
    """What a front end knows of a backend service."""

    path: str
    headers: tuple[tuple[str, str], ...]
    timeout: float


@dataclass(frozen=True)
class Plan:
    """What a front end does: a URL map's content, and that of its backend services by name."""

    project: str
    name: str
    url_map: Thing
    services: Mapping[str, Service]


@dataclass
class Front:
    """One front end of an address and port.

    Attributes:
        rule: Name of the forwarding rule.
        coming: What it will do, and when; of what has come, it does the latest said.
    """

    number: int
    rule: str
    find_manners: Callable[[], Manners]
    find_places: Callable[[str], tuple[Place, ...]]
    count: Callable[[Labels], None]
    note: Callable[..., None]
    upstream: Upstream
    chance: random.Random
    coming: list[tuple[float, Plan]] = field(default_factory=list)

    def find_plan(self) -> Plan | None:
        """Return what is done with a request that comes now."""
        now = time.monotonic()
        come = [number for number, (when, _) in enumerate(self.coming) if when <= now]
        if come:
            del self.coming[: come[-1]]
            return self.coming[0][1]
        return None

    async def answer(self, request: Message) -> Message | None:
        """Answer a request; one that nobody has told what to do hangs up."""
        plan = self.find_plan()
        if plan is None:
            return None
        path = request.first.split(" ")[1]
        host = request.headers.get("host", "").partition(":")[0]
        found = find_action(plan.url_map, Asked(host, path, request.headers))
        if found.redirect:
            code, place = found.redirect
            return answer(code, b"", location=place)
        if found.abort and self.chance.random() * 100 < found.abort[1]:
            return answer(found.abort[0], b"fault filter abort")
        name = pick_service(found.services, self.chance.random)
        return await self._pass_on(plan, plan.services.get(name), request)

    async def _pass_on(self, plan: Plan, service: Service | None, request: Message) -> Message:
        """Ask a machine of a backend service."""
        places = self.find_places(service.path) if service else ()
        if service is None or not places:
            self.note(code=503, why="no healthy upstream", front=self.number)
            return answer(503, b"no healthy upstream")
        labels = Labels(plan.project, plan.name, self.rule, find_last(service.path), NO_ANSWER)
        address, port = self.chance.choice(places)
        try:
            said = await self.upstream.ask(address, port, request, SERVER_IDLE, service.timeout)
        except Failed as error:
            self.count(labels)
            self.note(code=error.code, why=str(error), front=self.number, target=address)
            return answer(error.code, b"upstream connect error or disconnect/reset before headers")
        self.count(labels._replace(code_class=f"{said.code // 100}00"))
        return replace(said, headers={**said.headers, "via": "1.1 google", **dict(service.headers)})


@dataclass
class Listener:
    """An address and port, with the front ends behind it."""

    address: str
    port: int
    secure: bool
    fronts: list[Front]
    plan: Plan | None = None
    changes: int = 0
    server: asyncio.Server | None = None
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        """Take connections."""
        tls = make_tls() if self.secure else None
        self.server = await asyncio.start_server(
            self._serve, self.address, self.port, backlog=512, ssl=tls
        )

    async def close(self) -> None:
        """Take none any more, and end those that there are."""
        if self.server:
            self.server.close()
        for line in [*self.lines]:
            line.close()
        for front in self.fronts:
            front.upstream.close()

    async def _serve(self, stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        front = self.fronts[0].chance.choice(self.fronts)
        self.lines.add(out)
        idle = CLIENT_IDLE * front.find_manners().pace
        await serve(stream, out, front.answer, idle)
        self.lines.discard(out)

    def follow(self, plan: Plan, manners: Manners) -> list[float]:
        """Have each front end do as a map says, in its own time; return after how many seconds."""
        if plan == self.plan:
            return []
        self.plan = plan
        self.changes += 1
        about = (self.address, self.port, self.changes)
        late = [
            manners.follow * manners.draw("follow", front.number, *about) for front in self.fronts
        ]
        for front, seconds in zip(self.fronts, late, strict=True):
            front.coming = [*front.coming, (time.monotonic() + seconds, plan)]
        return late


class Fronts:
    """The listeners of all forwarding rules, by address and port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.listeners: dict[tuple[str, int, bool, str], Listener] = {}
        self.seen = -1

    def settle(self) -> None:
        """Bring the listeners to what the API says, or will have them come to it."""
        if self.world.store.changes == self.seen:
            return
        self.seen = self.world.store.changes
        wanted = self._list_wanted()
        for key in [key for key in self.listeners if key not in wanted]:
            self._run(self.listeners.pop(key).close())
        for key, plan in wanted.items():
            if key not in self.listeners:
                self.listeners[key] = self._make(*key)
                self._run(self.listeners[key].open())
            late = self.listeners[key].follow(plan, self.world.manners)
            if late:
                self.world.journal.note("follow", map=plan.name, port=key[1], late=late)

    def end(self) -> None:
        """Take no connections any more."""
        for listener in self.listeners.values():
            self._run(listener.close())

    def _list_wanted(self) -> dict[tuple[str, int, bool, str], Plan]:
        store = self.world.store
        wanted = {}
        for path, rule in store.list_all("forwardingRules").items():
            proxy = store.find(read_path(rule["target"], "")) or {}
            url_map = store.find(read_path(proxy.get("urlMap", ""), ""))
            if url_map:
                port = int(rule["portRange"].partition("-")[0])
                secure = "/targetHttpsProxies/" in rule["target"]
                key = (rule["IPAddress"], port, secure, find_last(path))
                wanted[key] = self._read_plan(path.split("/")[1], url_map)
        return wanted

    def _read_plan(self, project: str, url_map: Thing) -> Plan:
        services = {}
        for name in list_services(url_map):
            path = f"projects/{project}/global/backendServices/{name}"
            found = self.world.store.find(path)
            if found:
                services[name] = read_service(path, found)
        content = {name: url_map[name] for name in FOLLOWED if name in url_map}
        return Plan(project, url_map["name"], content, services)

    def _make(self, address: str, port: int, secure: bool, rule: str) -> Listener:  # noqa: FBT001 - of a key
        world = self.world
        (series,) = (part for part in world.parts if isinstance(part, Series))
        health, source = find_health(world), f"{world.network}.{CHECKER}"
        fronts = [
            Front(
                number,
                rule,
                lambda: world.manners,
                lambda path: health.places.get(path, ()),
                series.count,
                partial(world.journal.note, "failed"),
                Upstream(lambda: world.manners, source),
                random.Random(f"{world.manners.seed} {number} {address}:{port}"),  # noqa: S311 - no secret
            )
            for number in range(world.manners.fronts)
        ]
        return Listener(address, port, secure, fronts)

    def _run(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        asyncio.run_coroutine_threadsafe(work, find_machines(self.world).traffic).result()


def read_service(path: str, service: Thing) -> Service:
    """Return what front ends know of a backend service."""
    headers = [text.partition(":") for text in service.get("customResponseHeaders", ())]
    named = tuple((name.strip().lower(), value.strip()) for name, _, value in headers)
    if any("{" in value for _, value in named):
        message = f"variables in headers are not emulated: {named}"
        raise NotImplementedError(message)
    return Service(path, named, float(service.get("timeoutSec", 30)))


def find_last(path: str) -> str:
    """Return the last word of a path."""
    return path.rpartition("/")[2]
