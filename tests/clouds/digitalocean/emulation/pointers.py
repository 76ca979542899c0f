"""Notes each change of the generations that a balancer's tag, or its ids, lead to.

The state of a droplet is what it would answer now: no balancer has checked it before.
"""

from typing import Any

from clouds.digitalocean.emulation.balancers import list_wanted
from clouds.digitalocean.emulation.machines import find_machines
from clouds.digitalocean.emulation.store import Thing
from clouds.digitalocean.emulation.world import World
from clouds.shared.cloud_machine import Machine, read_launch


class Pointers:
    """Generations of each balancer, by its id, as they were noted last."""

    def __init__(self, world: World) -> None:
        self.world, self.seen = world, -1
        self.noted: dict[str, set[str]] = {}

    def settle(self) -> None:
        """Note what has changed."""
        if self.world.store.changes == self.seen:
            return
        self.seen = self.world.store.changes
        for balancer in self.world.store.list("load_balancers"):
            targets = describe_targets(self.world, balancer, list_wanted(self.world, balancer))
            if self.noted.get(balancer["id"], set()) != targets.keys():
                self.noted[balancer["id"]] = {*targets}
                note(self.world, "traffic", balancer, targets)

    def end(self) -> None:
        """Leave nothing behind."""


def describe_targets(
    world: World, balancer: Thing, droplets: list[int]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return state and seal of droplets, by generation and id."""
    targets: dict[str, dict[str, Any]] = {}
    for which in droplets:
        machine = find_machines(world).running.get(str(which))
        droplet = world.store.find("droplets", which)
        if machine and droplet:
            launch = read_launch(droplet["_user_data"])
            name = f"{launch.get('service')}-{launch.get('generation')}-{balancer['id'][:8]}"
            is_sick = isinstance(machine, Machine) and machine.web.is_so("sick")
            state = "unhealthy" if is_sick else "healthy"
            targets.setdefault(name, {})[str(which)] = {"state": state, "sealed": machine.sealed}
    return targets


def note(
    world: World, event: str, balancer: Thing, targets: dict[str, dict[str, dict[str, Any]]]
) -> None:
    """Note to whom a balancer's requests are to go, or go."""
    weights = {name: len(group) for name, group in targets.items()}
    world.journal.note(event, balancer=balancer["name"], weights=weights, targets=targets)
