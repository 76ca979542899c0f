"""Operations: looking at them and waiting for them."""

import time
from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.kinds import KINDS, Kind
from clouds.gcp.emulation.refusals import refuse_missing
from clouds.gcp.emulation.world import World

WAIT_SECONDS = 120
"""The longest that a wait takes: https://cloud.google.com/compute/docs/reference/rest/v1/globalOperations/wait"""
METHODS = frozenset({"get", "list"})

KINDS["globalOperations"] = KINDS["regionOperations"] = KINDS["zoneOperations"] = Kind(METHODS)


@answers(
    "compute.globalOperations.get",
    "compute.regionOperations.get",
    "compute.zoneOperations.get",
)
def get(world: World, call: Call) -> dict[str, Any]:
    """Return an operation as it is: what was a moment ago is not said of one."""
    return world.store.get(call.path)


@answers(
    "compute.globalOperations.wait",
    "compute.regionOperations.wait",
    "compute.zoneOperations.wait",
)
def wait(world: World, call: Call) -> dict[str, Any]:
    """Return an operation once it is done, or after two minutes as it is."""
    path = call.path.removesuffix("/wait")
    if not world.store.find(path):
        raise refuse_missing(path)
    until = time.monotonic() + WAIT_SECONDS
    while world.store.get(path)["status"] != "DONE" and time.monotonic() < until:
        world.lock.wait(1.0)
    return world.store.get(path)
