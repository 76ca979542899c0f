"""Leads a reserved address to the only server of a service that has no load balancer.

An address has neither a name nor tags: a tag of ours that nothing has says whose it is. Who has the
address has all traffic. One action moves it from droplet to droplet, and ends the connections that
are open; nobody says how many requests fail meanwhile.
https://docs.digitalocean.com/products/networking/reserved-ips/
"""

from collections.abc import Sequence

from immutable_servers.contract.values import Launch, Member, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.digitalocean.api import BUSY, Api, Thing
from immutable_servers.targets.digitalocean.droplets import find_address
from immutable_servers.targets.digitalocean.names import ACTIVE, tag_reserved, unpack_record

ASSIGN_SECONDS = 300.0
"""How long an assignment may take."""


def find_reserved(api: Api, scope: Scope) -> Thing | None:
    """Return a service's reserved address; None where it has none."""
    tags, start = api.list_tags(), tag_reserved(scope, "")
    if not any(tag.startswith(start) for tag in tags):
        return None  # who has none needs no right to list them
    found = api.list("reserved_ips")
    return next((one for one in found if tag_reserved(scope, one["ip"]) in tags), None)


def list_holders(address: Thing | None) -> Sequence[Thing]:
    """Return the droplet that has an address, if one has it."""
    holder = address and address.get("droplet")
    return [holder] if holder else []


def describe_member(scope: Scope, droplet: Thing, address: Thing) -> Member:
    """Return a droplet as what its service's address leads to, now or after a move.

    The one that has the address is asked there: no balancer checks it.
    """
    if droplet["status"] != ACTIVE:
        return Member(up=False, detail=f"it is {droplet['status']}")
    if all(one["id"] != droplet["id"] for one in list_holders(address)):
        return Member(up=True, detail="it runs, and has no reserved IP yet")
    failure = _find_failure(scope, droplet, address["ip"])
    return Member(up=not failure, detail=failure or f"it has {address['ip']}")


def lead(api: Api, scope: Scope, address: Thing, droplets: Sequence[Thing]) -> None:
    """Have an address lead to the first one of droplets, or to none, and wait until it does.

    Args:
        api: What is asked.
        scope: The generation's.
        address: Of its service.
        droplets: The generation's that run; none is for nobody.

    Raises:
        TrafficError: The droplet answers badly, or DigitalOcean refuses or could not do it.
        StoppedError: This process was asked to stop; an assignment that has begun goes on.
    """
    wanted = min(droplets, key=lambda one: int(one["id"]), default=None)
    before = next(iter(list_holders(address)), None)
    if (wanted and wanted["id"]) == (before and before["id"]):
        return
    failure = _find_failure(scope, wanted, find_address(wanted, "public")) if wanted else ""
    if wanted and failure:  # nothing else checks it
        raise TrafficError(
            f"Traffic of {scope.service} stays: generation {scope.generation} answers badly",
            facts=[f"{wanted['name']}: {failure}"],
            todo="See what the application has logged, as DigitalOcean shows no consoles; then"
            " run ./immutable up again.",
        )
    body = {"type": "assign", "droplet_id": wanted["id"]} if wanted else {"type": "unassign"}
    said = api.call("reserved_ips_actions.post", reserved_ip=address["ip"], again=BUSY, body=body)
    api.wait_action(said["action"]["id"], ASSIGN_SECONDS)


def _find_failure(scope: Scope, droplet: Thing, address: str) -> str:
    """Return what a visitor of a droplet has at an address in place of an answer, if so.

    Where `allow_from` keeps this machine away nobody knows.
    """
    # What most processes never do needs modules that take their time to be imported.
    from immutable_servers.contract.asking import ask_every_node  # noqa: PLC0415

    launch = Launch.from_plain(unpack_record(scope, droplet["tags"])["launch"])
    host = f"{address}:{launch.port}"
    (reply,) = ask_every_node(f"http://{host}", host, launch.health)
    return "" if reply.silent else reply.failure
