"""Actions: each is accepted, and brings about what it is for when it is completed.

What a test wants of an action is a fault named `action:TYPE`: `errored` ends it so, without effect,
and `never` has it be in progress for ever.
"""

from collections.abc import Callable

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.world import World


def begin(
    world: World, kind: str, about: int, of: str, region: Thing, effect: Callable[[], None]
) -> Thing:
    """Start an action and return it.

    Args:
        world: Where.
        kind: Its type.
        about: The id of what it is about.
        of: Whose id that is: `droplet`, `image` or `reserved_ip`.
        region: Where that is.
        effect: What happens when it is completed.
    """
    store, number = world.store, next(world.store.numbers)
    store.put(
        "actions",
        number,
        {
            "id": number,
            "status": "in-progress",
            "type": kind,
            "started_at": store.tell_time(),
            "completed_at": None,
            "resource_id": about,
            "resource_type": of,
            "region": region,
            "region_slug": region["slug"],
        },
    )
    fault = world.take_fault(f"action:{kind}") or {}
    if not fault.get("never"):
        errored = bool(fault.get("errored"))
        seconds = world.draw(world.manners.action, "action", kind, number)
        world.later(seconds, lambda: _finish(world, number, effect, errored=errored))
    return show(store.get("actions", number))


def _finish(world: World, number: int, effect: Callable[[], None], *, errored: bool) -> None:
    store = world.store
    status = "errored" if errored else "completed"
    action = store.change("actions", number, status=status, completed_at=store.tell_time())
    world.journal.note("done", action=action["type"], about=action["resource_id"], status=status)
    if not errored:
        effect()


def is_locked(world: World, of: str, about: int) -> bool:
    """Tell whether an action is under way on a thing."""
    return any(one["status"] == "in-progress" for one in list_about(world, of, about))


def list_about(world: World, of: str, about: int) -> list[Thing]:
    """Return the actions on a thing, the latest first."""
    found = [
        one
        for one in world.store.list("actions")
        if (one["resource_type"], one["resource_id"]) == (of, about)
    ]
    return found[::-1]


@answers("actions.list", "GET /v2/actions", "actions:read")
def list_all(world: World, call: Call) -> Body:
    """Return all of them, the latest first."""
    return list_page(world, call, "actions", world.store.list("actions")[::-1])


@answers("actions.get", "GET /v2/actions/{action_id}", "actions:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"action": show(world.store.get("actions", call.which["action_id"]))}
