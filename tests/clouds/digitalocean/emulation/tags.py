"""Tags: account-wide, the same in any spelling of case, and there without resources too."""

from collections.abc import Iterable
from typing import Any

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import Refusal, refuse_missing
from clouds.digitalocean.emulation.store import Thing
from clouds.digitalocean.emulation.world import World

KINDS = {"droplet": "droplets", "image": "images"}
"""What takes tags here; volumes are not emulated."""


def add_tag(world: World, name: str) -> str:
    """Make a tag unless it is there; return its name as it was first spelled."""
    found = world.store.find("tags", name.lower())
    tag = found or world.store.put("tags", name.lower(), {"name": name})
    return str(tag["name"])


def has_tag(thing: Thing, name: str) -> bool:
    """Tell whether a thing has a tag."""
    return name.lower() in (one.lower() for one in thing.get("tags") or ())


def describe(world: World, tag: Thing) -> Thing:
    """Return what the API says of a tag."""
    counts: dict[str, Any] = {
        kind: {"count": sum(has_tag(one, tag["name"]) for one in world.store.list(kind))}
        for kind in KINDS.values()
    }
    others = {kind: {"count": 0} for kind in ("volumes", "volume_snapshots", "databases")}
    total = sum(one["count"] for one in counts.values())
    return {**tag, "resources": {"count": total, **counts, **others}}


@answers("tags.list", "GET /v2/tags", "tag:read")
def list_tags(world: World, call: Call) -> Body:
    """Return all of them."""
    tags = sorted(world.store.list("tags"), key=lambda one: str(one["name"]))
    return list_page(world, call, "tags", [describe(world, one) for one in tags])


@answers("tags.create", "POST /v2/tags", "tag:create", code=201)
def create(world: World, call: Call) -> Body:
    """Make one; one that is there is no error."""
    add_tag(world, call.body["name"])
    return {"tag": describe(world, find(world, call.body["name"]))}


@answers("tags.get", "GET /v2/tags/{tag_id}", "tag:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"tag": describe(world, find(world, call.which["tag_id"]))}


@answers("tags.delete", "DELETE /v2/tags/{tag_id}", "tag:delete", code=204)
def delete(world: World, call: Call) -> None:
    """Delete one, in use or not; it is taken off everything."""
    name = find(world, call.which["tag_id"])["name"]
    for kind in KINDS.values():
        for one in world.store.list(kind):
            _drop(world, kind, one, name)
    world.store.remove("tags", name.lower())


@answers("tags.assign_resources", "POST /v2/tags/{tag_id}/resources", "tag:create", code=204)
def assign(world: World, call: Call) -> None:
    """Give a tag to resources: all of them, or none."""
    tag = find(world, call.which["tag_id"])["name"]
    for kind, thing in [*_find_resources(world, call)]:
        if not has_tag(thing, tag):
            world.store.change(kind, thing["id"], tags=[*thing["tags"], tag])


@answers("tags.unassign_resources", "DELETE /v2/tags/{tag_id}/resources", "tag:delete", code=204)
def unassign(world: World, call: Call) -> None:
    """Take a tag off resources."""
    tag = find(world, call.which["tag_id"])["name"]
    for kind, thing in [*_find_resources(world, call)]:
        _drop(world, kind, thing, tag)


def find(world: World, name: str) -> Thing:
    """Return a tag in any spelling.

    Raises:
        Refusal: There is none.
    """
    return world.store.get("tags", name.lower())


def _find_resources(world: World, call: Call) -> Iterable[tuple[str, Thing]]:
    for one in call.body["resources"]:
        kind = KINDS.get(one["resource_type"])
        if kind is None:
            raise Refusal("not_emulated", f"tags of a {one['resource_type']} are not emulated")
        thing = world.store.get(kind, one["resource_id"])
        if thing.get("public"):
            raise refuse_missing()
        yield kind, thing


def _drop(world: World, kind: str, thing: Thing, name: str) -> None:
    if has_tag(thing, name):
        kept = [one for one in thing["tags"] if one.lower() != name.lower()]
        world.store.change(kind, thing["id"], tags=kept)
