"""Images: those of DigitalOcean, and snapshots, which regions get by a transfer."""

from typing import Any

from clouds.digitalocean.emulation.actions import begin, list_about
from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.disks import keep_image
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import Refusal, refuse_missing
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.tags import has_tag
from clouds.digitalocean.emulation.world import World

ONE = "/v2/images/{image_id}"


def find_image(world: World, which: object) -> Thing:
    """Return an image by its id, or a public one by its slug.

    Raises:
        Refusal: There is none.
    """
    for one in world.store.list("images"):
        if str(which) in (str(one["id"]), one["slug"]):
            return one
    raise refuse_missing()


def add_snapshot(world: World, droplet: Thing, name: str) -> Thing:
    """Make the image that a droplet's snapshot is; nothing shows it before."""
    store, number = world.store, next(world.store.numbers)
    image = {
        "id": number,
        "name": name,
        "type": "snapshot",
        "distribution": droplet["image"]["distribution"],
        "slug": None,
        "public": False,
        "regions": [droplet["region"]["slug"]],
        "created_at": store.tell_time(),
        "min_disk_size": droplet["disk"],
        "size_gigabytes": 1.5,
        "description": "",
        "tags": [],
        "status": "available",
        "_droplet": droplet["id"],
    }
    keep_image(world.folder, droplet["id"], image)
    store.change("droplets", droplet["id"], snapshot_ids=[*droplet["snapshot_ids"], number])
    return store.put("images", number, image)


@answers("images.list", "GET /v2/images", "image:read")
def list_images(world: World, call: Call) -> Body:
    """Return images: all, the account's own, or those of a kind or a tag."""
    kinds = {"distribution": "base", "application": "none"}
    found = [
        one
        for one in world.store.list("images")
        if (call.asked.get("private") != "true" or not one["public"])
        and ("type" not in call.asked or one["type"] == kinds[call.asked["type"]])
        and ("tag_name" not in call.asked or has_tag(one, call.asked["tag_name"]))
    ]
    return list_page(world, call, "images", found)


@answers("images.get", f"GET {ONE}", "image:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"image": show(find_image(world, call.which["image_id"]))}


@answers("images.update", f"PUT {ONE}", "image:update")
def update(world: World, call: Call) -> Body:
    """Change name, description or distribution."""
    image = _find_own(world, call.which["image_id"])
    return {"image": show(world.store.change("images", image["id"], **call.body))}


@answers("images.delete", f"DELETE {ONE}", "image:delete", code=204)
def delete(world: World, call: Call) -> None:
    """Delete one from all regions, whoever was made from it."""
    _delete(world, call.which["image_id"])


@answers("imageActions.post", f"POST {ONE}/actions", "image:update", code=201)
def act(world: World, call: Call) -> Body:
    """Begin to copy an image to another region."""
    image = _find_own(world, call.which["image_id"])
    if call.body["type"] != "transfer":
        raise Refusal("not_emulated", f"{call.body['type']} of an image is not emulated")
    region = world.store.get("regions", call.body["region"])

    def copy() -> None:
        regions = world.store.get("images", image["id"])["regions"]
        kept = [one for one in regions if one != region["slug"]]
        world.store.change("images", image["id"], regions=[*kept, region["slug"]])

    return {"action": begin(world, "transfer", image["id"], "image", region, copy)}


@answers("imageActions.list", f"GET {ONE}/actions", "image:read")
def list_actions(world: World, call: Call) -> Body:
    """Return an image's actions."""
    image = find_image(world, call.which["image_id"])
    return list_page(world, call, "actions", list_about(world, "image", image["id"]))


@answers("imageActions.get", f"GET {ONE}/actions/{{action_id}}", "image:read")
def get_action(world: World, call: Call) -> Body:
    """Return an image's action."""
    return {"action": show(world.store.get("actions", call.which["action_id"]))}


# The same images by other names, without their marks.
@answers("snapshots.list", "GET /v2/snapshots", "snapshot:read")
def list_snapshots(world: World, call: Call) -> Body:
    """Return the snapshots of droplets."""
    found = [one for one in world.store.list("images") if one["type"] == "snapshot"]
    volumes = call.asked.get("resource_type") == "volume"
    return list_page(
        world, call, "snapshots", [] if volumes else [show_snapshot(one) for one in found]
    )


@answers(
    "snapshots.delete",
    "DELETE /v2/snapshots/{snapshot_id}",
    "image:delete",
    "snapshot:delete",
    code=204,
)
def delete_snapshot(world: World, call: Call) -> None:
    """Delete a snapshot."""
    _delete(world, call.which["snapshot_id"])


def show_snapshot(image: Thing) -> dict[str, Any]:
    """Return an image as `/v2/snapshots` says it."""
    same = ("name", "created_at", "regions", "min_disk_size", "size_gigabytes", "tags")
    about = {"resource_id": str(image["_droplet"]), "resource_type": "droplet"}
    return {"id": str(image["id"]), **{key: image[key] for key in same}, **about}


def _delete(world: World, which: object) -> None:
    image = _find_own(world, which)
    world.store.remove("images", image["id"])
    world.journal.note("delete", image=image["name"])


def _find_own(world: World, which: object) -> Thing:
    image = find_image(world, which)
    if image["public"]:
        raise Refusal("forbidden", "You do not have access for the attempted action.")
    return image
