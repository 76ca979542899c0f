"""Images: made of a disk, found by family, deprecated."""

from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.disks import keep_image
from clouds.gcp.emulation.kinds import KINDS, LABELLED, Kind, find_kind, need
from clouds.gcp.emulation.links import make_link, read_path
from clouds.gcp.emulation.plain import prepare, refuse_busy
from clouds.gcp.emulation.refusals import Refusal, refuse_invalid, refuse_missing
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World

KINDS["images"] = Kind(LABELLED | {"patch"})
WITHDRAWN = ("OBSOLETE", "DELETED")
"""States of an image that nothing new is made of."""
SIZE = "10"
"""GB of a disk whose image does not say."""


@answers("compute.images.insert")
def insert(world: World, call: Call) -> Thing:
    """Make an image of a disk: it is seen at once, and READY or FAILED later."""
    need(call.body, "name")
    path, kind = f"{call.path}/{call.body['name']}", find_kind("images")
    image = prepare(world, call, kind, path, call.body)
    source = read_path(image.get("sourceDisk", ""), call.project)
    if not source:
        raise Refusal("notEmulated", "only images of a disk are emulated")
    disk = world.store.get(source)
    refuse_running(world, source, force=call.parameters.get("forceCreate") == "true")
    features = {one["type"]: one for one in disk.get("guestOsFeatures", [])}
    features |= {one["type"]: one for one in image.get("guestOsFeatures", [])}
    image |= {
        "name": call.body["name"],
        "status": "PENDING",
        "diskSizeGb": disk["sizeGb"],
        "sourceDisk": make_link(source),
        "sourceDiskId": disk["id"],
        "sourceType": "RAW",
        "guestOsFeatures": list(features.values()),
        "architecture": image.get("architecture") or disk.get("architecture", "X86_64"),
        "storageLocations": image.get("storageLocations", ["eu"]),
    }
    world.store.make(path, image)

    def finish() -> None:
        ready = {"status": world.manners.images, "archiveSizeBytes": "1000000"}
        world.store.put(path, {**world.store.get(path), **ready})
        keep_image(world.folder, disk["name"], image["name"])
        world.journal.note("image", image=path, disk=source)

    return world.begin(call, path, finish, kind="insert")


def refuse_running(world: World, disk: str, *, force: bool) -> None:
    """Refuse an image of a disk that is attached to what runs."""
    for user in world.store.find(disk).get("users", []) if not force else []:  # type: ignore[union-attr]
        path = read_path(user, "")
        instance = world.store.find(path) or {}
        if instance.get("status") != "TERMINATED":
            raise Refusal(
                "resourceInUseByAnotherResource",
                f"The disk resource '{disk}' is already being used by '{path}'",
            )


@answers("compute.images.getFromFamily")
def get_from_family(world: World, call: Call) -> Thing:
    """Return a family's newest image that is not deprecated."""
    family, project = call.name, call.project
    found = [
        image
        for image in world.store.list(f"projects/{project}/global/images").values()
        if image.get("family") == family and image["status"] == "READY"
        if image.get("deprecated", {}).get("state", "ACTIVE") == "ACTIVE"
    ]
    if not found:
        raise refuse_missing(f"projects/{project}/global/images/family/{family}")
    return max(found, key=lambda image: (image["creationTimestamp"], image["name"]))


@answers("compute.images.deprecate")
def deprecate(world: World, call: Call) -> Thing:
    """Mark an image; an empty body takes the mark away."""
    path = call.path.removesuffix("/deprecate")
    world.store.get(path)
    refuse_busy(world, path)

    def finish() -> None:
        image = world.store.get(path)
        image.pop("deprecated", None)
        if call.body.get("state", "ACTIVE") != "ACTIVE":
            image["deprecated"] = call.body
        world.store.put(path, image)

    return world.begin(call, path, finish, kind="deprecate")


def find_image(world: World, text: str, project: str) -> tuple[str, Thing]:
    """Return path and image of what a new disk is made of: an image, or a family's newest.

    Raises:
        Refusal: There is none, it is not ready, or it is withdrawn.
    """
    path = read_path(text, project)
    head, _, family = path.partition("/images/family/")
    if family:
        images = world.store.list(f"{head}/images")
        found = [one for one, image in images.items() if image.get("family") == family]
        path = found[-1] if found else path
    image = world.store.find(path)
    if image is None:
        raise refuse_missing(path or text)
    if image["status"] != "READY":
        raise Refusal("resourceNotReady", f"The resource '{path}' is not ready")
    if image.get("deprecated", {}).get("state") in WITHDRAWN:
        raise refuse_invalid("sourceImage", text, "The image is no longer available.")
    return path, image


def describe_disk(image: Thing, path: str) -> dict[str, Any]:
    """Return what a disk has of its image."""
    return {
        "sourceImage": make_link(path),
        "sourceImageId": image["id"],
        "architecture": image.get("architecture", "X86_64"),
        "guestOsFeatures": image.get("guestOsFeatures", []),
    }
