"""What is emulated: importing a module here registers its operations."""

from collections.abc import Callable

from clouds.digitalocean.emulation import (
    actions,
    balancers,
    droplets,
    firewalls,
    fronts,
    images,
    keys,
    machines,
    networks,
    places,
    pointers,
    relays,
    tags,
)
from clouds.digitalocean.emulation.world import Part, World

MODULES = (actions, droplets, images, keys, networks, places, tags)
"""Modules whose import is their effect."""
PARTS: tuple[Callable[[World], Part], ...] = (
    firewalls.Guard,
    machines.Machines,
    pointers.Pointers,
    balancers.Pools,
    fronts.Fronts,
    relays.Relays,
)
"""What happens behind the API, by itself."""
