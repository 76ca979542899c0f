"""The nodes of a load balancer: each has an address, and follows its listener in its own time."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from clouds.aws.emulation.cloud_rules import Action, Rules, find_weights
from clouds.shared.cloud_manners import Manners
from clouds.shared.cloud_tls import make_tls
from clouds.shared.cloud_upstream import Failed, Upstream
from clouds.shared.cloud_wire import Message, answer, serve

Place = tuple[str, str, int]
"""A target's id, address and port."""


@dataclass
class Plans:
    """What a node does now, and what it will do."""

    now: Rules
    coming: list[tuple[float, Rules]] = field(default_factory=list)

    @property
    def last(self) -> Rules:
        """What it will do in the end."""
        return self.coming[-1][1] if self.coming else self.now

    def follow(self, rules: Rules, seconds: float) -> None:
        """Do as `rules` say after so long; a later word is never heard before an earlier one."""
        earliest = self.coming[-1][0] if self.coming else 0.0
        self.coming.append((max(earliest, time.monotonic() + seconds), rules))

    def find(self) -> Rules:
        """Return what is done with a request that comes now."""
        while self.coming and self.coming[0][0] <= time.monotonic():
            self.now = self.coming.pop(0)[1]
        return self.now


@dataclass
class Node:
    """One node's part of a listener.

    Attributes:
        listener: The listener's ARN.
        find_targets: Gives the targets of a group that get requests: none when all have left it.
        count: Has CloudWatch count for a target group, or without one for the balancer.
        fail: Notes that a server gave no answer.
    """

    listener: str
    address: str
    port: int
    plans: Plans
    find_manners: Callable[[], Manners]
    find_targets: Callable[[str], list[Place]]
    count: Callable[[str, list[str]], None]
    fail: Callable[..., None]
    chance: random.Random = field(default_factory=random.Random)
    upstream: Upstream = field(init=False)
    server: asyncio.Server | None = None
    changes: int = 0

    def __post_init__(self) -> None:
        self.upstream = Upstream(self.find_manners)
        self.chance = random.Random(f"{self.find_manners().seed} {self.address}:{self.port}")  # noqa: S311 - no secret

    def follow(self, rules: Rules) -> float | None:
        """Take a change of the listener; return after how many seconds, None without a change."""
        if rules == self.plans.last:
            return None
        self.changes += 1
        manners = self.find_manners()
        late = manners.follow * manners.draw("follow", self.address, self.port, self.changes)
        self.plans.follow(rules, late)
        return late

    async def open(self) -> None:
        """Take connections."""
        self.server = await asyncio.start_server(
            self._serve,
            self.address,
            self.port,
            backlog=512,
            ssl=make_tls() if self.plans.now.secure else None,
        )

    async def close(self) -> None:
        """Take none any more."""
        if self.server:
            self.server.close()
        self.upstream.close()

    async def _serve(self, stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        """Answer the requests of one client's connection."""
        client = str(out.get_extra_info("peername")[0])
        await serve(stream, out, partial(self._answer, client))

    async def _answer(self, client: str, request: Message) -> Message:
        rules, path = self.plans.find(), request.first.split(" ")[1]
        action = rules.find_action(request.headers, path, client)
        weights = find_weights([action])
        if action["Type"] == "redirect":
            return _redirect(action, request, path)
        if not weights:
            return _answer_fixed(action)
        (group,) = self.chance.choices([*weights], [*weights.values()])
        targets = self.find_targets(group)
        if not targets:  # such a request is counted for no target group
            return self._refuse("", 503)
        _, address, port = self.chance.choice(targets)
        try:
            said = await self.upstream.ask(address, port, request, rules.idle)
        except Failed as error:
            self.fail(code=error.code, why=str(error), node=self.address, target=address)
            return self._refuse(group, error.code, connected=error.connected)
        self.count(group, ["RequestCount", f"HTTPCode_Target_{said.code // 100}XX_Count"])
        return said

    def _refuse(self, group: str, code: int, *, connected: bool = True) -> Message:
        """Answer in the target's place; the code is counted for the balancer alone.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
        load-balancer-cloudwatch-metrics.html
        """
        if group:
            self.count(group, ["RequestCount"] + ["TargetConnectionErrorCount"] * (not connected))
        self.count("", ["HTTPCode_ELB_5XX_Count", f"HTTPCode_ELB_{code}_Count"])
        return answer(code, b"from the balancer\n")


def _redirect(action: Action, request: Message, path: str) -> Message:
    """Send to what an action says: it keeps host and path where it names none."""
    to: Mapping[str, Any] = action["RedirectConfig"]
    host = request.headers.get("host", "").partition(":")[0]
    place = f"{str(to['Protocol']).lower()}://{host}:{to['Port']}{path}"
    return answer(int(str(to["StatusCode"]).removeprefix("HTTP_")), b"", location=place)


def _answer_fixed(action: Action) -> Message:
    fixed: Mapping[str, Any] = action.get("FixedResponseConfig") or {"StatusCode": "503"}
    return answer(int(fixed["StatusCode"]), str(fixed.get("MessageBody") or "").encode())
