"""Reserved addresses, which one droplet has at a time, and certificates."""

import uuid

from clouds.digitalocean.emulation.actions import begin, is_locked, list_about
from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.droplets import describe as describe_droplet
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import Refusal, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.world import RESERVED, World

ADDRESS = "/v2/reserved_ips/{reserved_ip}"
CERTIFICATE = "/v2/certificates/{certificate_id}"


@answers("reservedIPs.list", "GET /v2/reserved_ips", "reserved_ip:read")
def list_addresses(world: World, call: Call) -> Body:
    """Return all reserved addresses."""
    found = [describe(world, one) for one in world.store.list("reserved_ips")]
    return list_page(world, call, "reserved_ips", found)


@answers("reservedIPs.create", "POST /v2/reserved_ips", "reserved_ip:create", code=202)
def create(world: World, call: Call) -> Body:
    """Reserve an address in a region."""
    if "droplet_id" in call.body:
        raise Refusal("not_emulated", "reserving an address for a droplet is not emulated")
    region, address = world.store.get("regions", call.body["region"]), world.take_place(RESERVED)
    thing = {
        "ip": address,
        "region": region,
        "_droplet": None,
        "_number": next(world.store.numbers),
    }
    return {"reserved_ip": describe(world, world.store.put("reserved_ips", address, thing))}


@answers("reservedIPs.get", f"GET {ADDRESS}", "reserved_ip:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"reserved_ip": describe(world, _find(world, call))}


@answers("reservedIPs.delete", f"DELETE {ADDRESS}", "reserved_ip:delete", code=204)
def delete(world: World, call: Call) -> None:
    """Let one go, whoever has it."""
    world.store.remove("reserved_ips", _find(world, call)["ip"])


@answers("reservedIPsActions.post", f"POST {ADDRESS}/actions", "reserved_ip:update", code=201)
def act(world: World, call: Call) -> Body:
    """Begin to give one to a droplet, or to take it away."""
    address, kind = _find(world, call), call.body["type"]
    droplet = call.body.get("droplet_id") if kind == "assign" else None
    if is_locked(world, "reserved_ip", address["_number"]):
        raise refuse_value("The reserved IP already has a pending event.")
    if droplet is not None:
        there = world.store.list("reserved_ips")
        if world.store.get("droplets", droplet)["region"] != address["region"]:
            raise refuse_value("The droplet is in another region.")
        if any(one["_droplet"] == droplet and one["ip"] != address["ip"] for one in there):
            raise refuse_value("The droplet already has a reserved IP.")

    def move() -> None:
        world.store.change("reserved_ips", address["ip"], _droplet=droplet)

    region = address["region"]
    return {"action": begin(world, kind, address["_number"], "reserved_ip", region, move)}


@answers("reservedIPsActions.list", f"GET {ADDRESS}/actions", "reserved_ip:read")
def list_actions(world: World, call: Call) -> Body:
    """Return the actions on one."""
    found = list_about(world, "reserved_ip", _find(world, call)["_number"])
    return list_page(world, call, "actions", found)


@answers("reservedIPsActions.get", f"GET {ADDRESS}/actions/{{action_id}}", "reserved_ip:read")
def get_action(world: World, call: Call) -> Body:
    """Return an action on one."""
    return {"action": show(world.store.get("actions", call.which["action_id"]))}


def _find(world: World, call: Call) -> Thing:
    return world.store.get("reserved_ips", call.which["reserved_ip"])


def describe(world: World, address: Thing) -> Thing:
    """Return what the API says of a reserved address."""
    droplet = world.store.find("droplets", address["_droplet"])
    shown = describe_droplet(world, droplet) if droplet else None
    locked = is_locked(world, "reserved_ip", address["_number"])
    return {**show(address), "droplet": shown, "locked": locked}


@answers("certificates.list", "GET /v2/certificates", "certificate:read")
def list_certificates(world: World, call: Call) -> Body:
    """Return all certificates, or those of a name."""
    found = [
        one
        for one in world.store.list("certificates")
        if call.asked.get("name") in (None, one["name"])
    ]
    return list_page(world, call, "certificates", found)


@answers("certificates.create", "POST /v2/certificates", "certificate:create", code=201)
def create_certificate(world: World, call: Call) -> Body:
    """Take a certificate of the user's own."""
    if call.body.get("type", "custom") != "custom":
        raise Refusal("not_emulated", "Let's Encrypt's certificates are not emulated")
    which, now = str(uuid.uuid4()), world.store.tell_time()
    certificate = {
        "id": which,
        "name": call.body["name"],
        "not_after": now,
        "sha1_fingerprint": which.replace("-", ""),
        "created_at": now,
        "dns_names": [],
        "state": "verified",
        "type": "custom",
    }
    return {"certificate": show(world.store.put("certificates", which, certificate))}


@answers("certificates.get", f"GET {CERTIFICATE}", "certificate:read")
def get_certificate(world: World, call: Call) -> Body:
    """Return one."""
    return {"certificate": show(world.store.get("certificates", call.which["certificate_id"]))}


@answers("certificates.delete", f"DELETE {CERTIFICATE}", "certificate:delete", code=204)
def delete_certificate(world: World, call: Call) -> None:
    """Delete one that no balancer uses."""
    which = world.store.get("certificates", call.which["certificate_id"])["id"]
    rules = [rule for one in world.store.list("load_balancers") for rule in one["forwarding_rules"]]
    if any(rule.get("certificate_id") == which for rule in rules):
        raise Refusal("forbidden", "Certificate is in use by a load balancer")
    world.store.remove("certificates", which)
