"""The methods that work the same way for every kind."""

import copy
from collections.abc import Mapping
from typing import Any

from clouds.gcp.emulation.calls import Call, find_place, locate
from clouds.gcp.emulation.documents import Document, read_document
from clouds.gcp.emulation.kinds import Kind, find_kind, need
from clouds.gcp.emulation.links import list_references, normalize
from clouds.gcp.emulation.lists import cut_page, take_wanted
from clouds.gcp.emulation.refusals import Refusal, refuse_missing
from clouds.gcp.emulation.schemas import drop_output
from clouds.gcp.emulation.store import Thing, check_fingerprint, make_fingerprint
from clouds.gcp.emulation.world import World

HALF = 0.5
STAMPED = ("fingerprint", "id", "creationTimestamp", "selfLink", "kind", "labelFingerprint")
"""What no change brings."""


def answer_plain(world: World, call: Call) -> dict[str, Any]:
    """Answer a method that needs no code of the kind's own."""
    kind, action = find_kind(call.method.collection), call.method.action
    if action not in PLAIN_METHODS or (action != "aggregatedList" and action not in kind.methods):
        raise Refusal("notEmulated", f"{call.method.name} is not emulated")
    return PLAIN_METHODS[action](world, call, kind)


# reading
def get(world: World, call: Call, kind: Kind) -> Thing:
    """Return one thing."""
    del kind
    things = world.show(call)
    if call.path not in things:
        raise refuse_missing(call.path)
    return things[call.path]


def list_(world: World, call: Call, kind: Kind) -> dict[str, Any]:
    """Return a page of the things of one project, zone or region."""
    del kind
    things = {
        path: thing
        for path, thing in sorted(world.show(call).items())
        if path.rpartition("/")[0] == call.path
    }
    wanted = take_wanted(call.parameters.get("filter", ""), things)
    shown, token = cut_page(call.parameters, wanted, world.find_page(call))
    answer: dict[str, Any] = {"id": call.path, "items": list(shown.values()), "selfLink": ""}
    return {**answer, **({"nextPageToken": token} if token else {})}


def aggregated_list(world: World, call: Call, kind: Kind) -> dict[str, Any]:
    """Return a page of the things of a project, by zone or region."""
    del kind
    *_, project, _, collection = call.path.split("/")
    things = {
        path: thing
        for path, thing in sorted(world.show(call).items())
        if path.split("/")[1] == project and path.split("/")[-2] == collection
    }
    wanted = take_wanted(call.parameters.get("filter", ""), things)
    shown, token = cut_page(call.parameters, wanted, world.find_page(call))
    items: dict[str, Any] = {}
    for path, thing in shown.items():
        place = "/".join(find_place(path).split("/")[2:])
        items.setdefault(place, {}).setdefault(collection, []).append(thing)
    answer: dict[str, Any] = {"id": call.path, "items": items}
    return {**answer, **({"nextPageToken": token} if token else {})}


# changing
def insert(world: World, call: Call, kind: Kind) -> Thing:
    """Add a thing: its name is taken at once, and it is there when the operation is done."""
    need(call.body, "name", *kind.needed)
    path = f"{call.path}/{call.body['name']}"
    thing = prepare(world, call, kind, path, call.body)

    def finish() -> None:
        world.store.make(path, thing)

    return world.begin(call, path, finish, kind="insert")


def prepare(world: World, call: Call, kind: Kind, path: str, body: Mapping[str, Any]) -> Thing:
    """Return a new thing as it will be.

    Raises:
        Refusal: The name is taken, what it refers to is not there, or the kind refuses it.
    """
    if world.store.find(path) or path in world.store.pending:
        raise Refusal("alreadyExists", f"The resource '{path}' already exists")
    document = read_document(call.method.place)
    thing = clean(document, call.method.request, body, call.project)
    thing = {**copy.deepcopy(dict(kind.defaults)), **thing, **locate(find_place(path))}
    check(world, path, thing, kind)
    return stamp(document, call.method.request, thing)


def check(world: World, path: str, thing: Thing, kind: Kind) -> None:
    """Refuse a thing whose references are not there, or that its kind refuses."""
    for field, used in list_references(thing):
        if used in world.store.pending and not world.store.find(used):
            raise Refusal("resourceNotReady", f"The resource '{used}' is not ready")
        if field not in {"zone", "region"} and not world.store.find(used):
            raise refuse_missing(used)
    kind.check(world, path, thing)


def delete(world: World, call: Call, kind: Kind) -> Thing:
    """Remove a thing that nothing uses."""
    world.store.get(call.path)
    refuse_busy(world, call.path)
    refuse_used(world, call.path, kind)

    def finish() -> None:
        world.store.remove(call.path)

    return world.begin(call, call.path, finish, kind="delete")


def patch(world: World, call: Call, kind: Kind) -> Thing:
    """Merge a body into a thing: objects are merged, arrays replaced, and null clears."""
    return change(world, call, kind, merge(world.store.get(call.path), _take(call)))


def update(world: World, call: Call, kind: Kind) -> Thing:
    """Replace a thing by a body."""
    old = world.store.get(call.path)
    kept = {key: old[key] for key in (*STAMPED, "name", "zone", "region") if key in old}
    kept |= {key: value for key, value in old.items() if key not in _list_input(call)}
    return change(world, call, kind, {**copy.deepcopy(dict(kind.defaults)), **_take(call), **kept})


def change(world: World, call: Call, kind: Kind, new: Thing) -> Thing:
    """Have a thing be as given once an operation is done; the fingerprint is checked now.

    Beside another change of it one is refused, in either of the two ways that are known: as too
    early, or for a fingerprint that is about to be old.
    """
    old = world.store.get(call.path)
    if kind.fingerprint:
        pending = call.path in world.store.pending
        old_now = pending and world.manners.draw("old", call.number) < HALF
        check_fingerprint(call.body.get("fingerprint"), None if old_now else old["fingerprint"])
    refuse_busy(world, call.path)
    check(world, call.path, new, kind)
    document = read_document(call.method.place)
    stamped = stamp(document, call.method.request, new)

    def finish() -> None:
        world.store.put(call.path, stamped)

    return world.begin(call, call.path, finish)


def set_labels(world: World, call: Call, kind: Kind) -> Thing:
    """Replace the labels; the fingerprint must be theirs."""
    del kind
    path = call.path.removesuffix("/setLabels")
    old = world.store.get(path)
    check_fingerprint(call.body.get("labelFingerprint"), old.get("labelFingerprint"))

    def finish() -> None:
        labels = call.body.get("labels", {})
        now = world.store.get(path)
        world.store.put(
            path, {**now, "labels": labels, "labelFingerprint": make_fingerprint(labels)}
        )

    return world.begin(call, path, finish, kind="setLabels")


# what they share
def refuse_busy(world: World, path: str) -> None:
    """Refuse a change beside another one."""
    if path in world.store.pending:
        raise Refusal("resourceNotReady", f"The resource '{path}' is not ready")


def refuse_used(world: World, path: str, kind: Kind) -> None:
    """Refuse to delete what something refers to, or has referred to a moment ago."""
    for user in world.store.list_users(path):
        if user.split("/")[-2] in kind.users:
            name = path.split("/")[-2]
            raise Refusal(
                "resourceInUseByAnotherResource",
                f"The {name} resource '{path}' is already being used by '{user}'",
            )


def clean(document: Document, schema: str, body: Mapping[str, Any], project: str) -> Thing:
    """Return what a body says that the API takes, with references as the store's."""
    given = {key: value for key, value in body.items() if key not in STAMPED and value is not None}
    return normalize(drop_output(document, schema, copy.deepcopy(given)), project)


def stamp(document: Document, schema: str, thing: Thing) -> Thing:
    """Give a thing its kind and fingerprints."""
    properties = document.schemas[schema]["properties"]
    new = {key: value for key, value in thing.items() if key != "fingerprint"}
    new["kind"] = properties["kind"]["default"]
    if "labelFingerprint" in properties:
        new["labelFingerprint"] = make_fingerprint(new.get("labels", {}))
    if "fingerprint" in properties:
        content = {key: value for key, value in new.items() if key not in STAMPED}
        new["fingerprint"] = make_fingerprint(content)
    return new


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a JSON merge patch makes of a thing (RFC 7396)."""
    merged = dict(old)
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            before = merged.get(key)
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _take(call: Call) -> Thing:
    """Return what a change's body says; its nulls too."""
    document = read_document(call.method.place)
    given = {key: value for key, value in call.body.items() if key not in STAMPED}
    return normalize(drop_output(document, call.method.request, given), call.project)


def _list_input(call: Call) -> set[str]:
    document = read_document(call.method.place)
    properties = document.schemas[call.method.request]["properties"]
    return set(drop_output(document, call.method.request, dict.fromkeys(properties)))


PLAIN_METHODS = {
    "get": get,
    "list": list_,
    "aggregatedList": aggregated_list,
    "insert": insert,
    "delete": delete,
    "patch": patch,
    "update": update,
    "setLabels": set_labels,
}
"""By the method's last word."""
