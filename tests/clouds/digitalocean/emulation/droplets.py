"""Droplets: made, acted on and destroyed. DigitalOcean protects none that serves."""

from collections.abc import Callable, Mapping
from typing import Any

from clouds.digitalocean.emulation.actions import begin, is_locked, list_about
from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.images import add_snapshot, find_image
from clouds.digitalocean.emulation.keys import find_key
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.places import find_vpc
from clouds.digitalocean.emulation.refusals import Refusal, refuse_missing, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.tags import add_tag, has_tag
from clouds.digitalocean.emulation.world import World

ONE = "/v2/droplets/{droplet_id}"
AT_ONCE = 10
"""How many droplets may be new at a time."""
USER_DATA = 64 * 1024
NOT_EMULATED = ("backups", "backup_policy", "ipv6", "monitoring", "names", "volumes")
"""Fields that may be there, and say nothing."""
POWER: Mapping[str, str] = {"shutdown": "off", "power_off": "off", "power_on": "active"}
"""Actions and the state that each leads to."""
RESTARTS = ("reboot", "power_cycle")
CHANGES: Mapping[str, str] = {"resize": "size", "rename": "name"}
"""Actions that change a droplet in place, and by which word."""


@answers("droplets.list", "GET /v2/droplets", "droplet:read")
def list_droplets(world: World, call: Call) -> Body:
    """Return all, or those of one tag, or those of one name."""
    if {"tag_name", "name"} <= {*call.asked}:
        raise Refusal("bad_request", "tag_name and name are mutually exclusive")
    found = [
        one
        for one in world.store.list("droplets")
        if ("tag_name" not in call.asked or has_tag(one, call.asked["tag_name"]))
        and call.asked.get("name") in (None, one["name"])
    ]
    shown = [describe(world, one) for one in found if not _is_unseen(world, call, one)]
    return list_page(world, call, "droplets", shown)


@answers("droplets.create", "POST /v2/droplets", "droplet:create", code=202)
def create(world: World, call: Call) -> Body:
    """Make a droplet, which is new until it is active."""
    store, body = world.store, call.body
    for field in NOT_EMULATED:
        if body.get(field):
            raise Refusal("not_emulated", f"{field} of a droplet are not emulated")
    size, region, image = _check(world, body)
    vpc = find_vpc(world, region["slug"], body.get("vpc_uuid") or "")
    keys = [find_key(world, one)["public_key"] for one in body.get("ssh_keys") or ()]
    number, address = next(store.numbers), world.take_address()
    card = {"ip_address": address, "netmask": "255.255.0.0", "gateway": f"{world.network}.0.1"}
    kinds = ("public", "private") if body.get("public_networking", True) else ("private",)
    droplet = {
        "id": number,
        "name": body["name"],
        **{key: size[key] for key in ("memory", "vcpus", "disk")},
        "locked": False,
        "status": "new",
        "created_at": store.tell_time(),
        "features": ["private_networking"],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": show(image),
        "volume_ids": [],
        "size": size,
        "size_slug": size["slug"],
        "networks": {"v4": [], "v6": []},
        "region": region,
        "tags": [*dict.fromkeys(add_tag(world, one) for one in body.get("tags") or ())],
        "vpc_uuid": vpc,
        "_cards": [{**card, "type": kind} for kind in kinds],
        "_user_data": body.get("user_data") or "",
        "_keys": keys,
        "_seen": store.now() + world.manners.unseen,
    }
    store.put("droplets", number, droplet)
    fault = world.take_fault("droplet:new")  # it stays so

    def run() -> None:
        if not fault:
            cards = {"v4": droplet["_cards"], "v6": []}
            store.change("droplets", number, status="active", networks=cards)

    world.later(world.draw(world.manners.boot, "boot", number), run)
    link = {
        "id": number,
        "rel": "create",
        "href": f"https://api.digitalocean.com/v2/actions/{number}",
    }
    return {"droplet": describe(world, store.get("droplets", number)), "links": {"actions": [link]}}


def _check(world: World, body: Mapping[str, Any]) -> tuple[Thing, Thing, Thing]:
    """Return size, region and image of a new droplet.

    Raises:
        Refusal: They do not go together, or there are too many droplets.
    """
    store = world.store
    size, region = store.find("sizes", body["size"]), store.find("regions", body.get("region"))
    if size is None:
        raise refuse_value("You specified an invalid size for Droplet creation.")
    if region is None or region["slug"] not in size["regions"]:
        raise refuse_value("Size is not available in this region.")
    try:
        image = find_image(world, body["image"])
    except Refusal:
        raise refuse_value("You specified an invalid image for Droplet creation.") from None
    if region["slug"] not in image["regions"]:
        raise refuse_value("The image you specified is not available in the selected region.")
    if image["min_disk_size"] > size["disk"]:
        raise refuse_value("The image you specified is too large for the size's disk.")
    if len((body.get("user_data") or "").encode()) > USER_DATA:
        raise refuse_value("User data is too long (maximum is 65536 bytes)")
    there = store.list("droplets")
    if len(there) >= store.get("account", "account")["droplet_limit"]:
        raise refuse_value("creating this/these droplet(s) will exceed your droplet limit")
    if sum(one["status"] == "new" for one in there) >= AT_ONCE:
        raise refuse_value(f"only {AT_ONCE} droplets may be created at once")
    return size, region, image


@answers("droplets.get", f"GET {ONE}", "droplet:read")
def get(world: World, call: Call) -> Body:
    """Return one; a new one is not found at once."""
    droplet = find_droplet(world, call)
    if _is_unseen(world, call, droplet):
        raise refuse_missing()
    return {"droplet": describe(world, droplet)}


@answers("droplets.destroy", f"DELETE {ONE}", "droplet:delete", code=204)
def destroy(world: World, call: Call) -> None:
    """Destroy one, which is there for some moments more."""
    droplet = find_droplet(world, call)
    _destroy(world, droplet)


@answers("droplets.destroy_byTag", "DELETE /v2/droplets", "droplet:delete", code=204)
def destroy_tagged(world: World, call: Call) -> None:
    """Destroy all of a tag."""
    for one in world.store.list("droplets"):
        if has_tag(one, call.asked["tag_name"]):
            _destroy(world, one)


def _destroy(world: World, droplet: Thing) -> None:
    if droplet.get("_ending"):
        return
    world.store.change("droplets", droplet["id"], _ending=True, status="off")
    world.later(world.manners.ending, lambda: world.store.remove("droplets", droplet["id"]))


@answers("droplets.list_snapshots", f"GET {ONE}/snapshots", "droplet:read")
def list_snapshots(world: World, call: Call) -> Body:
    """Return the snapshots of one that there are still."""
    same = ("id", "name", "created_at", "regions", "min_disk_size", "size_gigabytes", "type")
    images = [world.store.find("images", one) for one in find_droplet(world, call)["snapshot_ids"]]
    found = [{key: one[key] for key in same} for one in images if one]
    return list_page(world, call, "snapshots", found)


# actions
@answers("dropletActions.post", f"POST {ONE}/actions", "droplet:update", code=201)
def act(world: World, call: Call) -> Body:
    """Begin an action; one is done at a time, and a shutdown may be asked for again."""
    droplet, kind = find_droplet(world, call), call.body["type"]
    effect = _find_effect(world, droplet, call.body)
    under_way = [
        one
        for one in list_about(world, "droplet", droplet["id"])
        if one["status"] == "in-progress" and (one["type"] != "shutdown" or kind != "shutdown")
    ]
    if under_way or droplet["status"] == "new":
        raise refuse_value("Droplet already has a pending event.")
    return {"action": begin(world, kind, droplet["id"], "droplet", droplet["region"], effect)}


def _find_effect(world: World, droplet: Thing, body: Mapping[str, Any]) -> Callable[[], None]:
    store, kind, number = world.store, body["type"], droplet["id"]
    if kind in RESTARTS:
        return lambda: None
    if kind in POWER:
        return lambda: _ignore(store.change("droplets", number, status=POWER[kind]))
    if kind == "snapshot":
        name = body.get("name") or f"{droplet['name']}-snapshot"
        return lambda: _ignore(add_snapshot(world, store.get("droplets", number), name))
    if kind in CHANGES:  # what no droplet of ours may ever meet
        world.journal.note("changed", droplet=number, how=kind, to=body.get(CHANGES[kind]))
        fields = _describe_change(world, kind, body)
        return lambda: _ignore(store.change("droplets", number, **fields))
    raise Refusal("not_emulated", f"{kind} of a droplet is not emulated")


def _describe_change(world: World, kind: str, body: Mapping[str, Any]) -> Thing:
    if kind == "rename":
        return {"name": body["name"]}
    size = world.store.get("sizes", body["size"])
    kept = {key: size[key] for key in ("memory", "vcpus")}
    return {"size": size, "size_slug": size["slug"], **kept}


def _ignore(_thing: Thing) -> None:
    """Return nothing, as an effect does."""


@answers("dropletActions.list", f"GET {ONE}/actions", "droplet:read")
def list_actions(world: World, call: Call) -> Body:
    """Return the actions of one."""
    droplet = find_droplet(world, call)
    return list_page(world, call, "actions", list_about(world, "droplet", droplet["id"]))


@answers("dropletActions.get", f"GET {ONE}/actions/{{action_id}}", "droplet:read")
def get_action(world: World, call: Call) -> Body:
    """Return an action of one."""
    action = world.store.get("actions", call.which["action_id"])
    if str(action["resource_id"]) != call.which["droplet_id"]:
        raise refuse_missing()
    return {"action": show(action)}


def find_droplet(world: World, call: Call) -> Thing:
    """Return the droplet that a call is about.

    Raises:
        Refusal: There is none.
    """
    return world.store.get("droplets", call.which["droplet_id"])


def describe(world: World, droplet: Thing) -> Thing:
    """Return what the API says of a droplet: it is locked while something is done to it."""
    busy = is_locked(world, "droplet", droplet["id"]) or droplet["status"] == "new"
    return {**show(droplet), "locked": busy or bool(droplet.get("_ending"))}


def _is_unseen(world: World, call: Call, droplet: Thing) -> bool:
    return call.is_strange and droplet["_seen"] > world.store.now()
