"""What is emulated: importing a module here registers its methods and kinds."""

from collections.abc import Callable

from clouds.gcp.emulation import (
    balancing,
    computing,
    fronts,
    groups,
    health,
    images,
    machines,
    managers,
    operations,
    places,
    pointers,
    projects,
    scaling,
    series,
)
from clouds.gcp.emulation.world import Part, World

MODULES = (balancing, computing, groups, images, operations, places, projects)
"""Modules whose import is their effect."""
PARTS: tuple[Callable[[World], Part], ...] = (
    computing.Runs,
    managers.Managers,
    machines.Machines,
    health.Health,
    series.Series,
    fronts.Fronts,
    pointers.Pointers,
    scaling.Scalers,
)
"""What happens behind the API, by itself."""
