"""What an account has before anything is made: limits, regions, sizes, upstream images, VPCs."""

import uuid
from collections.abc import Mapping
from typing import Any

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import Refusal, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.world import World

REGIONS = ("fra1", "ams3", "nyc1")
SIZES: Mapping[str, tuple[int, int, int, float, tuple[str, ...]]] = {
    "s-1vcpu-512mb-10gb": (512, 1, 10, 4.0, ("nyc1",)),
    "s-1vcpu-1gb": (1024, 1, 25, 6.0, REGIONS),
    "s-1vcpu-2gb": (2048, 1, 50, 12.0, REGIONS),
    "s-2vcpu-4gb": (4096, 2, 80, 24.0, REGIONS),
    "s-4vcpu-8gb": (8192, 4, 160, 48.0, ("fra1", "ams3")),
}
"""Memory in MB, processors, disk in GB, dollars a month, regions."""
DEBIAN = "debian-13-x64"
ACCOUNT: Mapping[str, Any] = {
    "droplet_limit": 25,
    "floating_ip_limit": 5,
    "email": "somebody@example.com",
    "uuid": "4d2e1f3a-0b5c-4c6d-8e7f-9a0b1c2d3e4f",
    "email_verified": True,
    "status": "active",
    "status_message": "",
}


def seed(world: World) -> None:
    """Have the account be as a new one is."""
    store = world.store
    store.put("account", "account", ACCOUNT)
    for slug, (memory, cores, disk, price, regions) in SIZES.items():
        size = {
            "slug": slug,
            "memory": memory,
            "vcpus": cores,
            "disk": disk,
            "transfer": 1.0,
            "price_monthly": price,
            "price_hourly": price / 672,
            "regions": [*regions],
            "available": True,
            "description": "Basic",
        }
        store.put("sizes", slug, size)
    for slug in REGIONS:
        sizes = [size for size, words in SIZES.items() if slug in words[-1]]
        region = {"name": slug.upper(), "slug": slug, "features": ["metadata"]}
        store.put("regions", slug, {**region, "available": True, "sizes": sizes})
        add_vpc(world, {"name": f"default-{slug}", "region": slug}, default=True)
    number = next(store.numbers)
    image = {
        "id": number,
        "name": "13 x64",
        "type": "base",
        "distribution": "Debian",
        "slug": DEBIAN,
        "public": True,
        "regions": [*REGIONS],
        "created_at": store.tell_time(),
        "min_disk_size": 10,
        "size_gigabytes": 0.9,
        "description": "Debian 13 x64",
        "tags": [],
        "status": "available",
    }
    store.put("images", number, image)


def add_vpc(world: World, body: Mapping[str, Any], *, default: bool = False) -> Thing:
    """Make a VPC."""
    store, name = world.store, str(uuid.uuid4())
    vpc = {
        "id": name,
        "urn": f"do:vpc:{name}",
        "name": body["name"],
        "description": body.get("description", ""),
        "region": body["region"],
        "ip_range": body.get("ip_range") or f"10.{len(store.list('vpcs'))}.0.0/20",
        "default": default,
        "created_at": store.tell_time(),
    }
    return store.put("vpcs", name, vpc)


def find_vpc(world: World, region: str, wanted: str = "") -> str:
    """Return the VPC that something in a region is in: the region's default one by default."""
    for one in world.store.list("vpcs"):
        if one["region"] == region and (one["id"] == wanted if wanted else one["default"]):
            return str(one["id"])
    message = "VPC is not in the region, or is not found"
    raise refuse_value(message)


@answers("account.get", "GET /v2/account", "account:read")
def get_account(world: World, _call: Call) -> Body:
    """Return the account."""
    return {"account": world.store.get("account", "account")}


@answers("regions.list", "GET /v2/regions", "regions:read")
def list_regions(world: World, call: Call) -> Body:
    """Return the regions."""
    return list_page(world, call, "regions", world.store.list("regions"))


@answers("sizes.list", "GET /v2/sizes", "sizes:read", "regions:read")
def list_sizes(world: World, call: Call) -> Body:
    """Return the sizes."""
    return list_page(world, call, "sizes", world.store.list("sizes"))


@answers("vpcs.list", "GET /v2/vpcs", "vpc:read")
def list_vpcs(world: World, call: Call) -> Body:
    """Return the VPCs."""
    return list_page(world, call, "vpcs", world.store.list("vpcs"))


@answers("vpcs.create", "POST /v2/vpcs", "vpc:create", code=201)
def create_vpc(world: World, call: Call) -> Body:
    """Make a VPC; its name is unique in the account."""
    if any(one["name"] == call.body["name"] for one in world.store.list("vpcs")):
        message = "A VPC with the same name already exists in your account"
        raise refuse_value(message)
    world.store.get("regions", call.body["region"])
    return {"vpc": show(add_vpc(world, call.body))}


@answers("vpcs.get", "GET /v2/vpcs/{vpc_id}", "vpc:read")
def get_vpc(world: World, call: Call) -> Body:
    """Return a VPC."""
    return {"vpc": show(world.store.get("vpcs", call.which["vpc_id"]))}


@answers("vpcs.delete", "DELETE /v2/vpcs/{vpc_id}", "vpc:delete", code=204)
def delete_vpc(world: World, call: Call) -> None:
    """Delete a VPC: not the default one, and none that has members."""
    vpc = world.store.get("vpcs", call.which["vpc_id"])
    if vpc["default"]:
        raise Refusal("forbidden", "Can not delete default VPCs")
    things = [*world.store.list("droplets"), *world.store.list("load_balancers")]
    if any(one.get("vpc_uuid") == vpc["id"] for one in things):
        raise Refusal("conflict", "Can not delete VPC with members")
    world.store.remove("vpcs", vpc["id"])
