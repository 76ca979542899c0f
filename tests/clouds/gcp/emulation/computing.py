"""Instances, disks and instance templates, as the API has them; what runs is the parts'."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clouds.gcp.emulation.calls import Call, answers, find_place, locate
from clouds.gcp.emulation.images import SIZE, describe_disk, find_image
from clouds.gcp.emulation.kinds import KINDS, LABELLED, Kind, find_kind, need
from clouds.gcp.emulation.links import make_link, read_path
from clouds.gcp.emulation.plain import prepare, refuse_busy
from clouds.gcp.emulation.projects import find_account
from clouds.gcp.emulation.refusals import Refusal, refuse_invalid, refuse_missing
from clouds.gcp.emulation.store import Thing, check_fingerprint, make_fingerprint
from clouds.gcp.emulation.world import World

VALUE_BYTES, ALL_BYTES = 256 * 1024, 512 * 1024
"""https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations"""
NO_ROOM = "ZONE_RESOURCE_POOL_EXHAUSTED"
SCOPE = "default"
"""The network of who names none."""

KINDS |= {
    "disks": Kind(LABELLED, users=("instances",)),
    "instances": Kind(LABELLED, needed=("machineType", "disks", "networkInterfaces")),
}


def check_template(world: World, path: str, template: Mapping[str, Any]) -> None:
    """Refuse a template whose machines could never start."""
    need(template, "properties")
    words = template["properties"]
    need(words, "machineType", "disks", "networkInterfaces")
    check_metadata(words.get("metadata", {}))
    for disk in words["disks"]:
        source = disk.get("initializeParams", {}).get("sourceImage")
        if source:
            find_image(world, source, path.split("/")[1])


KINDS["instanceTemplates"] = Kind(users=("instanceGroupManagers",), check=check_template)


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse sizes that metadata cannot have, and keys that are there twice."""
    items = metadata.get("items", [])
    for item in items:
        if len(str(item.get("value", "")).encode()) > VALUE_BYTES:
            raise refuse_invalid("resource.metadata.items.value", item["key"], "It is too large.")
    if sum(len(str(item).encode()) for item in items) > ALL_BYTES:
        raise refuse_invalid("resource.metadata", "", "It is too large.")
    if len({item["key"] for item in items}) < len(items):
        raise refuse_invalid("resource.metadata.items", "", "Keys must be unique.")


# instances
@answers("compute.instances.insert")
def insert_instance(world: World, call: Call) -> Thing:
    """Start an instance: it is PROVISIONING at once, and RUNNING when the operation is done."""
    if "sourceInstanceTemplate" in call.parameters:
        raise Refusal("notEmulated", "instances of a template are not emulated here")
    need(call.body, "name")
    path = f"{call.path}/{call.body['name']}"
    instance = prepare(world, call, find_kind("instances"), path, call.body)
    check_metadata(instance.get("metadata", {}))
    provision(world, path, instance)
    code = world.manners.no_room.get(find_place(path).rpartition("/")[2])
    if code:
        return world.begin(call, path, lambda: refuse_room(world, path, code), kind="insert")
    return world.begin(call, path, lambda: run(world, path), kind="insert")


def refuse_room(world: World, path: str, code: str = NO_ROOM) -> None:
    """Have an instance not start, for its zone has no room; nothing of it is left."""
    zone = find_place(path)
    remove_instance(world, path)
    raise Refusal(
        code,
        f"The zone '{zone}' does not have enough resources available to fulfill the request.",
        503,
    )


def provision(world: World, path: str, words: Mapping[str, Any]) -> None:
    """Make an instance that does not run yet, with its disks.

    Args:
        world: Where it is.
        path: Its path, `projects/p/zones/z/instances/i`.
        words: As in an insert, or the properties of a template.
    """
    instance = dict(words) | locate(find_place(path)) | {"kind": "compute#instance"}
    machine = str(instance["machineType"])
    if "/" not in machine:
        instance["machineType"] = make_link(f"{find_place(path)}/machineTypes/{machine}")
    if not world.store.find(read_path(instance["machineType"], "")):
        raise refuse_missing(read_path(instance["machineType"], ""))
    # Packer sends an account without an address for none.
    accounts = [one for one in instance.get("serviceAccounts", []) if one.get("email")]
    for account in accounts:
        if not find_account(world, account["email"]):
            raise refuse_missing(account["email"])
    instance["serviceAccounts"] = accounts
    instance["disks"] = [
        _attach(world, path, disk, number) for number, disk in enumerate(instance["disks"])
    ]
    instance["networkInterfaces"] = [
        _connect(world, path, card, number)
        for number, card in enumerate(instance["networkInterfaces"])
    ]
    metadata = {"kind": "compute#metadata", "items": [], **instance.get("metadata", {})}
    instance |= {
        "status": "PROVISIONING",
        "metadata": {**metadata, "fingerprint": make_fingerprint(metadata["items"])},
        "labelFingerprint": make_fingerprint(instance.get("labels", {})),
    }
    world.store.make(path, instance)


def run(world: World, path: str) -> None:
    """Have an instance run."""
    instance = world.store.get(path)
    instance |= {"status": "RUNNING", "lastStartTimestamp": world.store.tell_time()}
    world.store.put(path, instance)


def remove_instance(world: World, path: str) -> None:
    """Have an instance be gone, with the disks that go with it; others stay."""
    instance = world.store.get(path)
    world.store.remove(path)
    for disk in instance["disks"]:
        source = read_path(disk["source"], "")
        kept = world.store.find(source)
        if kept is None:
            continue
        if disk.get("autoDelete"):
            world.store.remove(source)
        else:
            world.store.put(source, {key: value for key, value in kept.items() if key != "users"})


def _attach(world: World, path: str, disk: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return an attached disk; one that does not exist is made of its image."""
    attached = {"kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": "READ_WRITE", **disk}
    attached |= {"index": number, "boot": bool(disk.get("boot")) or number == 0}
    project, place, name = path.split("/")[1], find_place(path), path.rpartition("/")[2]
    params = attached.pop("initializeParams", None)
    if params is None:
        source = read_path(str(disk.get("source", "")), project)
        found = world.store.get(source)
        world.store.put(source, {**found, "users": [make_link(path)]})
        return attached | {"source": make_link(source), "diskSizeGb": found["sizeGb"]}
    image_path, image = find_image(world, params["sourceImage"], project)
    source = f"{place}/disks/{params.get('diskName') or name}"
    if world.store.find(source):
        raise Refusal("alreadyExists", f"The resource '{source}' already exists")
    size = params.get("diskSizeGb") or image.get("diskSizeGb", SIZE)
    kind = str(params.get("diskType", "pd-standard")).rpartition("/")[2]
    words = {
        "kind": "compute#disk",
        "sizeGb": size,
        "status": "READY",
        "type": make_link(f"{place}/diskTypes/{kind}"),
        "labels": params.get("labels", {}),
        "labelFingerprint": make_fingerprint(params.get("labels", {})),
        "users": [make_link(path)],
        **describe_disk(image, image_path),
        **locate(place),
    }
    world.store.make(source, words)
    return attached | {
        "source": make_link(source),
        "diskSizeGb": size,
        "deviceName": disk.get("deviceName", f"persistent-disk-{number}"),
        "architecture": words["architecture"],
    }


def _connect(world: World, path: str, card: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a network card with addresses: all are on the loopback, and really the machine's."""
    project, region = path.split("/")[1], find_region(path)
    network = (
        read_path(str(card.get("network", "")), project)
        or f"projects/{project}/global/networks/{SCOPE}"
    )
    subnetwork = read_path(str(card.get("subnetwork", "")), project)
    for used in filter(None, (network, subnetwork)):
        if not world.store.find(used):
            raise refuse_missing(used)
    address = world.take_address()
    configs = [
        {"kind": "compute#accessConfig", "name": "External NAT", **config, "natIP": address}
        for config in card.get("accessConfigs", [])
    ]
    subnetwork = subnetwork or f"projects/{project}/regions/{region}/subnetworks/{SCOPE}"
    made = {
        **card,
        "kind": "compute#networkInterface",
        "name": f"nic{number}",
        "network": make_link(network),
        "subnetwork": make_link(subnetwork),
        "networkIP": address,
    }
    return {**made, **({"accessConfigs": configs} if configs else {})}


def find_region(path: str) -> str:
    """Return the region of what is in a zone."""
    return find_place(path).rpartition("/")[2].rpartition("-")[0]


class Runs:
    """Ends the instances whose time is over, as `maxRunDuration` says."""

    def __init__(self, world: World) -> None:
        self.world = world

    def settle(self) -> None:
        """End what has run for long enough, by the cloud's clock."""
        now = self.world.clock.now()
        for path, instance in self.world.store.list_all("instances").items():
            scheduling = instance.get("scheduling", {})
            seconds = int(scheduling.get("maxRunDuration", {}).get("seconds", 0))
            started = instance.get("lastStartTimestamp")
            if not seconds or not started or instance["status"] != "RUNNING":
                continue
            if datetime.fromisoformat(started).timestamp() + seconds > now:
                continue
            self.world.journal.note("over", instance=path, after=seconds)
            if scheduling.get("instanceTerminationAction") == "DELETE":
                remove_instance(self.world, path)
            else:
                self.world.store.put(path, {**instance, "status": "TERMINATED"})

    def end(self) -> None:
        """Leave nothing behind."""


@answers("compute.instances.delete")
def delete_instance(world: World, call: Call) -> Thing:
    """End an instance: it is STOPPING until the operation is done."""
    instance = world.store.get(call.path)
    refuse_busy(world, call.path)
    world.store.put(call.path, {**instance, "status": "STOPPING"})
    return world.begin(call, call.path, lambda: remove_instance(world, call.path), kind="delete")


@answers("compute.instances.stop", "compute.instances.start")
def switch(world: World, call: Call) -> Thing:
    """Stop or start an instance."""
    path, _, action = call.path.rpartition("/")
    instance = world.store.get(path)
    refuse_busy(world, path)
    under_way, then = ("STOPPING", "TERMINATED") if action == "stop" else ("STAGING", "RUNNING")
    world.store.put(path, {**instance, "status": under_way})

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), "status": then})

    return world.begin(call, path, finish, kind=action)


@answers("compute.instances.setMetadata")
def set_metadata(world: World, call: Call) -> Thing:
    """Replace an instance's metadata; the fingerprint must be theirs."""
    path = call.path.rpartition("/")[0]
    check_fingerprint(
        call.body.get("fingerprint"), world.store.get(path)["metadata"]["fingerprint"]
    )
    check_metadata(call.body)
    items = call.body.get("items", [])
    words = {"kind": "compute#metadata", "items": items, "fingerprint": make_fingerprint(items)}

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), "metadata": words})

    return world.begin(call, path, finish, kind="setMetadata")


@answers("compute.instances.getSerialPortOutput")
def read_serial(world: World, call: Call) -> dict[str, Any]:
    """Return what an instance has written to its serial port, from a place on."""
    path = call.path.rpartition("/")[0]
    world.store.get(path)
    if call.parameters.get("port", "1") != "1":
        raise Refusal("notEmulated", "only the first serial port is emulated")
    text, start = world.read_console(path), int(call.parameters.get("start", "0"))
    return {"contents": text[start:], "start": str(start), "next": str(len(text))}


# disks
@answers("compute.disks.insert")
def insert_disk(world: World, call: Call) -> Thing:
    """Make a disk, of an image or empty."""
    need(call.body, "name")
    path, place = f"{call.path}/{call.body['name']}", find_place(call.path)
    disk = prepare(world, call, find_kind("disks"), path, call.body)
    source = call.parameters.get("sourceImage") or disk.get("sourceImage")
    if source:
        image_path, image = find_image(world, source, call.project)
        disk |= describe_disk(image, image_path)
        disk.setdefault("sizeGb", image.get("diskSizeGb", SIZE))
    need(disk, "sizeGb")
    disk.setdefault("type", make_link(f"{place}/diskTypes/pd-standard"))
    disk["status"] = "READY"

    def finish() -> None:
        world.store.make(path, disk)

    return world.begin(call, path, finish, kind="insert")


__all__ = ["find_region", "provision", "refuse_room", "remove_instance", "run"]
