"""All nodes of all balancers of the emulated cloud."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from clouds.aws.emulation.cloud_node import Node, Plans
from clouds.aws.emulation.cloud_rules import Rules

Wanted = Mapping[tuple[str, int], tuple[str, str, Rules]]
"""Of each address and port: its balancer, its listener and what that says now."""


class Fronts:
    """The nodes; a new listener's answer at once, and a change is followed in their own time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: Any) -> None:  # noqa: ANN401 - World
        self.loop, self.world = loop, world
        self.nodes: dict[tuple[str, int], Node] = {}

    def settle(self, wanted: Wanted) -> None:
        """Bring the nodes to what the API says, or will have them come to it."""
        for place in [*self.nodes]:
            if place not in wanted or self.nodes[place].listener != wanted[place][1]:
                self._run(self.nodes.pop(place).close())
        for place, (balancer, listener, rules) in wanted.items():
            if place not in self.nodes:
                self.nodes[place] = self._make(place, balancer, listener, rules)
                self._run(self.nodes[place].open())
            late = self.nodes[place].follow(rules)
            if late is not None:
                self.world.journal.note("follow", node=place[0], port=place[1], late=late)

    def _make(self, place: tuple[str, int], balancer: str, listener: str, rules: Rules) -> Node:
        world = self.world
        return Node(
            listener,
            *place,
            Plans(rules),
            world.etiquette.read,
            world.find_targets,
            lambda group, metrics: world.metrics.count(balancer, group, metrics),
            partial(world.journal.note, "failed"),
        )

    def _run(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        asyncio.run_coroutine_threadsafe(work, self.loop).result()
