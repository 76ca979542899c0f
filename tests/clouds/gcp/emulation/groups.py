"""The methods of regional managed instance groups, and of their instance groups."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.computing import remove_instance
from clouds.gcp.emulation.kinds import CHANGED, KINDS, Kind, find_kind, need
from clouds.gcp.emulation.links import make_link, read_path
from clouds.gcp.emulation.lists import cut_page
from clouds.gcp.emulation.managers import (
    Managed,
    find_instance_group,
    find_managers,
    find_scaler,
    list_managed,
    make_instance_group,
    read_config,
)
from clouds.gcp.emulation.plain import prepare, refuse_busy, refuse_used
from clouds.gcp.emulation.refusals import Refusal, refuse_invalid
from clouds.gcp.emulation.store import Thing, make_fingerprint
from clouds.gcp.emulation.world import World

BASE_LETTERS = 58
SCALED = (
    "Resizing of autoscaled regional managed instance groups is not allowed. If you want to "
    "manually adjust target size remove the autoscaler or set autoscaling policy mode to OFF."
)
SHAPED = ("BALANCED", "ANY", "ANY_SINGLE_ZONE")
"""Shapes that take no redistribution.
https://cloud.google.com/compute/docs/instance-groups/regional-mig-distribution-shape
"""


def check_manager(world: World, path: str, manager: Mapping[str, Any]) -> None:
    """Refuse a group without a template, or with words that do not go together."""
    del world, path
    if not manager.get("instanceTemplate") and not manager.get("versions"):
        raise refuse_invalid("resource.instanceTemplate", "", "A template is required.")
    if len(manager["baseInstanceName"]) > BASE_LETTERS:
        raise refuse_invalid("resource.baseInstanceName", manager["baseInstanceName"])
    shape = manager.get("distributionPolicy", {}).get("targetShape", "EVEN")
    again = manager.get("updatePolicy", {}).get("instanceRedistributionType", "PROACTIVE")
    if shape in SHAPED and again != "NONE":
        raise refuse_invalid("resource.updatePolicy.instanceRedistributionType", again, shape)


KINDS |= {
    "regionInstanceGroupManagers": Kind(
        CHANGED,
        needed=("targetSize",),
        users=("autoscalers",),
        check=check_manager,
        defaults={"listManagedInstancesResults": "PAGELESS"},
    ),
    "regionInstanceGroups": Kind(frozenset({"get", "list"})),
}


@answers("compute.regionInstanceGroupManagers.insert")
def insert(world: World, call: Call) -> Thing:
    """Make a group; its machines come later."""
    need(call.body, "name")
    path = f"{call.path}/{call.body['name']}"
    body = {"baseInstanceName": call.body["name"], **call.body}
    if "targetSize" not in body:
        need(body, "targetSize")
    manager = prepare(world, call, find_kind("regionInstanceGroupManagers"), path, body)
    manager |= {"instanceGroup": make_link(find_instance_group(path))}

    def finish() -> None:
        make_instance_group(world, path, manager)
        world.store.make(path, manager)

    return world.begin(call, path, finish, kind="insert")


@answers("compute.regionInstanceGroupManagers.delete")
def delete(world: World, call: Call) -> Thing:
    """End a group and all its machines, if no backend service has it."""
    manager = world.store.get(call.path)
    refuse_busy(world, call.path)
    refuse_used(world, call.path, find_kind("regionInstanceGroupManagers"))
    refuse_used(world, find_instance_group(call.path), Kind(users=("backendServices",)))
    world.store.put(call.path, {**manager, "targetSize": 0})
    group = find_managers(world).groups[call.path]

    def finish() -> None:
        for machine in group.machines.values():
            if world.store.find(machine.path):
                remove_instance(world, machine.path)
        world.store.remove(find_instance_group(call.path))
        world.store.remove(call.path)

    return world.begin(call, call.path, finish, kind="delete")


@answers("compute.regionInstanceGroupManagers.resize")
def resize(world: World, call: Call) -> Thing:
    """Have a group be of another size, unless it is scaled.

    https://github.com/terraform-google-modules/terraform-google-vm/issues/64
    """
    path = call.path.rpartition("/")[0]
    scaler = find_scaler(world, path)
    if scaler and scaler["autoscalingPolicy"].get("mode", "ON") != "OFF":
        raise Refusal("conditionNotMet", SCALED)
    return _set_size(world, call, path, int(call.parameters["size"]))


@answers("compute.regionInstanceGroupManagers.deleteInstances")
def delete_instances(world: World, call: Call) -> Thing:
    """End machines: the group is smaller then."""
    return _act(world, call, "DELETING")


@answers("compute.regionInstanceGroupManagers.recreateInstances")
def recreate_instances(world: World, call: Call) -> Thing:
    """Make machines again, as the group now says."""
    return _act(world, call, "RECREATING")


@answers("compute.regionInstanceGroupManagers.listManagedInstances")
def list_managed_instances(world: World, call: Call) -> dict[str, Any]:
    """Return a page of a group's machines."""
    path = call.path.rpartition("/")[0]
    world.store.get(path)
    return _cut(world, call, "managedInstances", [*list_managed(world, path)])


@answers("compute.regionInstanceGroupManagers.listErrors")
def list_errors(world: World, call: Call) -> dict[str, Any]:
    """Return a page of what has failed."""
    path = call.path.rpartition("/")[0]
    world.store.get(path)
    return _cut(world, call, "items", find_managers(world).groups[path].errors)


@answers("compute.regionInstanceGroups.setNamedPorts")
def set_named_ports(world: World, call: Call) -> Thing:
    """Have a group's ports have other names."""
    path = call.path.rpartition("/")[0]
    ports = call.body.get("namedPorts", [])
    words = {"namedPorts": ports, "fingerprint": make_fingerprint(ports)}
    manager = path.replace("/instanceGroups/", "/instanceGroupManagers/")
    world.store.get(path)

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), **words})
        world.store.put(manager, {**world.store.get(manager), "namedPorts": ports})

    return world.begin(call, path, finish)


def _act(world: World, call: Call, action: str) -> Thing:
    """Begin an action on machines that a call names."""
    path = call.path.rpartition("/")[0]
    manager, managers = world.store.get(path), find_managers(world)
    chosen = _choose(managers.groups[path].machines.get, call, path)
    for machine in chosen:
        if action == "RECREATING":
            machine.config = read_config(manager)
        managers.leave(path, machine, action)
    if action == "DELETING":
        size = int(manager["targetSize"]) - len(chosen)
        world.store.put(path, {**manager, "targetSize": size})
    return world.begin(call, path)


def _choose(find: Callable[[str], Managed | None], call: Call, path: str) -> Sequence[Managed]:
    asked = [read_path(one, call.project) for one in call.body.get("instances", ())]
    found = [find(one.rpartition("/")[2]) for one in asked]
    for one, machine in zip(asked, found, strict=True):
        if machine is None or machine.path != one:
            raise Refusal("invalid", f"Instance '{one}' is not a member of '{path}'")
    return [machine for machine in found if machine]


def _set_size(world: World, call: Call, path: str, size: int) -> Thing:
    world.store.get(path)
    refuse_busy(world, path)

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), "targetSize": size})

    return world.begin(call, path, finish)


def _cut(world: World, call: Call, key: str, things: Sequence[Any]) -> dict[str, Any]:
    """Return a page of things that have no paths."""
    numbered = {f"{number:06}": one for number, one in enumerate(things)}
    shown, token = cut_page(call.parameters, numbered, world.find_page(call))
    return {key: [*shown.values()], **({"nextPageToken": token} if token else {})}
