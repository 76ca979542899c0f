"""What passes requests on: nodes of balancers, each with its own members, checks and order.

A node knows late who is in the pool, asks a new member for its health before it sends anything
there, and answers 503 when nobody passes. A connection lands on any node, and stays there. That a
redirect to HTTPS has the code 307 is believed, not seen.
"""

import asyncio
import contextlib
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from clouds.digitalocean.emulation.balancers import find_answer_seconds
from clouds.digitalocean.emulation.machines import find_machines
from clouds.digitalocean.emulation.pointers import describe_targets, note
from clouds.digitalocean.emulation.store import Thing
from clouds.digitalocean.emulation.world import World
from clouds.shared.cloud_tls import make_tls
from clouds.shared.cloud_upstream import Failed, Upstream
from clouds.shared.cloud_web import EMULATED
from clouds.shared.cloud_wire import Message, answer, read_message, serve

Place = tuple[str, int]


@dataclass
class Member:
    """A droplet of a node's pool: it gets nothing before it has passed often enough."""

    healthy: bool = False
    passed: int = 0
    failed: int = 0
    task: Any = None

    def take(self, balancer: Thing, *, ok: bool) -> None:
        """Count a check."""
        check = balancer["health_check"]
        self.passed, self.failed = (self.passed + 1, 0) if ok else (0, self.failed + 1)
        if self.passed >= check["healthy_threshold"]:
            self.healthy = True
        if self.failed >= check["unhealthy_threshold"]:
            self.healthy = False


class Node:
    """One node of a balancer.

    Attributes:
        members: What it knows of the pool, by the droplet's id.
    """

    def __init__(self, world: World, balancer: Thing, number: int) -> None:
        self.world, self.which, self.number = world, balancer["id"], number
        self.source = balancer["_source"]
        self.members: dict[int, Member] = {}
        self.pool: Sequence[int] = ()
        self.upstream = Upstream(lambda: world.manners, self.source)
        self.turn = 0

    @property
    def balancer(self) -> Thing | None:
        """What the API says now; None when it is gone."""
        return self.world.store.find("load_balancers", self.which)

    @property
    def healthy(self) -> list[int]:
        """Who gets requests."""
        return [which for which, one in [*self.members.items()] if one.healthy]

    def follow(self, balancer: Thing) -> None:
        """Come to know a pool that has changed, some time later."""
        if self.pool != balancer["_pool"]:
            self.pool = [*balancer["_pool"]]
            manners, about = self.world.manners, (self.which, self.number, *self.pool)
            self.world.later(manners.late_nodes * manners.draw("node", *about), self._take)

    def _take(self) -> None:
        """Have the members be those of the pool by now."""
        balancer = self.balancer
        wanted = balancer["_pool"] if balancer else []
        for which in [one for one in self.members if one not in wanted]:
            self.members.pop(which).task.cancel()
        for which in wanted:
            if which not in self.members:
                member = self.members[which] = Member()
                watching, traffic = self._watch(which, member), find_machines(self.world).traffic
                member.task = asyncio.run_coroutine_threadsafe(watching, traffic)

    async def _watch(self, which: int, member: Member) -> None:
        while balancer := self.balancer:
            member.take(balancer, ok=await self._ask(which, balancer["health_check"]))
            await asyncio.sleep(self.world.manners.check)

    async def _ask(self, which: int, check: Thing) -> bool:
        place = self.find_place(which, check["port"])
        if place is None:
            return False
        seconds = find_answer_seconds(self.world, check)
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(seconds):
                stream, out = await asyncio.open_connection(*place, local_addr=(self.source, 0))
                with contextlib.closing(out):
                    if check["protocol"] == "tcp":
                        return True
                    headers = {"host": place[0], "user-agent": EMULATED, "connection": "close"}
                    asked = Message(f"GET {check['path']} HTTP/1.1", headers)
                    out.write(asked.render(close=True))
                    return (await read_message(stream)).code // 100 == 2
        return False

    def find_place(self, which: int, port: int) -> Place | None:
        """Return where a droplet answers; None when it does not run."""
        machine = find_machines(self.world).running.get(str(which))
        return (machine.address, machine.find_port(port)) if machine else None

    async def answer(self, rule: Thing, request: Message) -> Message | None:
        """Answer a request; a balancer that is gone hangs up."""
        balancer = self.balancer
        if balancer is None:
            return None
        if balancer["redirect_http_to_https"] and rule["entry_protocol"] == "http":
            host = request.headers.get("host", "").partition(":")[0]
            return answer(307, b"", location=f"https://{host}{request.first.split(' ')[1]}")
        healthy = self.healthy
        if not healthy:
            self._note(503, "no healthy droplet")
            return answer(503, b"no server is available to handle this request")
        self.turn += 1
        which = healthy[self.turn % len(healthy)]
        place = self.find_place(which, rule["target_port"]) or ("127.0.0.1", 1)
        idle = float(balancer["http_idle_timeout_seconds"])
        try:
            return await self.upstream.ask(*place, request, idle)
        except Failed as error:
            self._note(error.code, f"{which}: {error}")
            return answer(error.code, b"the server did not answer")

    def _note(self, code: int, why: str) -> None:
        self.world.journal.note("failed", code=code, why=why, front=self.number)

    def end(self) -> None:
        """Ask nobody any more."""
        for member in self.members.values():
            member.task.cancel()
        self.members.clear()
        find_machines(self.world).traffic.call_soon_threadsafe(self.upstream.close)


@dataclass
class Listener:
    """An address and port of a balancer."""

    nodes: Sequence[Node]
    rule: Thing
    address: str
    chance: random.Random
    server: asyncio.Server | None = None
    lines: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        """Take connections."""
        tls = make_tls() if self.rule["entry_protocol"] == "https" else None
        port = self.rule["entry_port"]
        self.server = await asyncio.start_server(
            self._serve, self.address, port, backlog=512, ssl=tls
        )

    async def close(self) -> None:
        """Take none any more, and end those that there are."""
        if self.server:
            self.server.close()
        for line in [*self.lines]:
            line.close()

    async def _serve(self, stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        node = self.chance.choice(self.nodes)
        balancer = node.balancer
        if balancer is None or not lets_in(balancer["firewall"], out.get_extra_info("peername")[0]):
            out.close()
            return
        self.lines.add(out)
        idle = balancer["http_idle_timeout_seconds"] * node.world.manners.pace
        await serve(stream, out, partial(node.answer, self.rule), idle)
        self.lines.discard(out)


def lets_in(firewall: Thing, source: str) -> bool:
    """Tell whether a balancer's own firewall takes an address: a deny comes first."""

    def names(rules: Sequence[str]) -> bool:
        networks = (ipaddress.ip_network(one.partition(":")[2]) for one in rules)
        return any(ipaddress.ip_address(source) in one for one in networks)

    allowed = firewall["allow"]
    return not names(firewall["deny"]) and (not allowed or names(allowed))


class Fronts:
    """Nodes and listeners of all balancers.

    Attributes:
        noted: Who gets requests of each balancer, as the journal has it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.nodes: dict[str, list[Node]] = {}
        self.listeners: dict[tuple[str, int, str, int], Listener] = {}
        self.noted: dict[str, set[int]] = {}

    def settle(self) -> None:
        """Bring nodes and listeners to what the API says."""
        there = {
            one["id"]: one
            for one in self.world.store.list("load_balancers")
            if one["status"] == "active"
        }
        for which, balancer in there.items():
            count = self.world.manners.nodes * balancer["size_unit"]
            nodes = self.nodes.setdefault(which, [])
            nodes += [Node(self.world, balancer, n) for n in range(len(nodes), count)]
            for node in nodes:
                node.follow(balancer)
            self._note(balancer, nodes)
        self._listen(there)
        for which in [one for one in self.nodes if one not in there]:
            for node in self.nodes.pop(which):
                node.end()
            self.noted.pop(which, None)

    def _listen(self, there: dict[str, Thing]) -> None:
        wanted = {
            (which, rule["entry_port"], rule["entry_protocol"], rule["target_port"]): rule
            for which, balancer in there.items()
            for rule in balancer["forwarding_rules"]
        }
        for key in [one for one in self.listeners if one not in wanted]:
            self._run(self.listeners.pop(key).close())
        for key, rule in wanted.items():
            if key not in self.listeners:
                seed = f"{self.world.manners.seed} {key}"
                address, nodes = there[key[0]]["ip"], self.nodes[key[0]]
                made = Listener(nodes, rule, address, random.Random(seed))  # noqa: S311 - no secret
                self._run(made.open())
                self.listeners[key] = made

    def _note(self, balancer: Thing, nodes: Sequence[Node]) -> None:
        """Note whom requests go to, when that has changed: by generation, with state and seal."""
        serving = {one for node in nodes for one in node.healthy}
        if self.noted.get(balancer["id"], set()) != serving:
            self.noted[balancer["id"]] = serving
            targets = describe_targets(self.world, balancer, sorted(serving))
            note(self.world, "served", balancer, targets)

    def end(self) -> None:
        """Take no connections any more."""
        for listener in self.listeners.values():
            self._run(listener.close())
        for nodes in self.nodes.values():
            for node in nodes:
                node.end()

    def _run(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        asyncio.run_coroutine_threadsafe(work, find_machines(self.world).traffic).result()
