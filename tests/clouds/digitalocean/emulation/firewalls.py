"""Firewalls: what they let in adds up, and a droplet without any is open.

Balancers have none: theirs is `firewall` of their own.
"""

import ipaddress
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import refuse_missing, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.tags import has_tag
from clouds.digitalocean.emulation.world import World

ONE = "/v2/firewalls/{firewall_id}"
RULES = ("inbound_rules", "outbound_rules")
MOST = {"droplet_ids": 10, "tags": 5}
MOST_RULES = 50
"""https://docs.digitalocean.com/products/networking/firewalls/details/limits/"""
GUARDING = "_guarding"
"""When it began to hold for each droplet, by its id."""


@answers("firewalls.list", "GET /v2/firewalls", "firewall:read")
def list_firewalls(world: World, call: Call) -> Body:
    """Return all of them."""
    found = [describe(world, one) for one in world.store.list("firewalls")]
    return list_page(world, call, "firewalls", found)


@answers("firewalls.create", "POST /v2/firewalls", "firewall:create", code=202)
def create(world: World, call: Call) -> Body:
    """Make one; its name is unique in the account."""
    if any(one["name"] == call.body["name"] for one in world.store.list("firewalls")):
        message = "duplicate name"
        raise refuse_value(message)
    which = str(uuid.uuid4())
    _put(world, which, {"id": which, "created_at": world.store.tell_time()}, call.body)
    return {"firewall": describe(world, world.store.get("firewalls", which))}


@answers("firewalls.get", f"GET {ONE}", "firewall:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"firewall": describe(world, find(world, call))}


@answers("firewalls.update", f"PUT {ONE}", "firewall:update")
def update(world: World, call: Call) -> Body:
    """Have one be as the request says: what it leaves out is as by default."""
    before = find(world, call)
    kept = {key: before[key] for key in ("id", "created_at", GUARDING)}
    _put(world, before["id"], kept, call.body)
    return {"firewall": describe(world, find(world, call))}


@answers("firewalls.delete", f"DELETE {ONE}", "firewall:delete", code=204)
def delete(world: World, call: Call) -> None:
    """Delete one, in use or not."""
    world.store.remove("firewalls", find(world, call)["id"])


def _change(name: str, key: str, *, add: bool) -> None:
    """Have calls add to a list of a firewall's, or take away from it."""
    verb = "POST" if add else "DELETE"

    @answers(f"firewalls.{name}", f"{verb} {ONE}/{key}", "firewall:update", code=204)
    def change(world: World, call: Call) -> None:
        before = find(world, call)
        fields = RULES if key == "rules" else ("droplet_ids" if key == "droplets" else key,)
        after = dict(before)
        for field in fields:
            named = [_complete(one) for one in call.body.get(field) or ()]
            kept = [one for one in before[field] if one not in named]
            after[field] = kept + (named if add else [])
        _put(world, before["id"], {}, after)


for _name, _key, _add in (
    ("assign_droplets", "droplets", True),
    ("delete_droplets", "droplets", False),
    ("add_tags", "tags", True),
    ("delete_tags", "tags", False),
    ("add_rules", "rules", True),
    ("delete_rules", "rules", False),
):
    _change(_name, _key, add=_add)


@answers("droplets.list_firewalls", "GET /v2/droplets/{droplet_id}/firewalls", "firewall:read")
def list_of_droplet(world: World, call: Call) -> Body:
    """Return those of a droplet."""
    droplet = world.store.get("droplets", call.which["droplet_id"])
    found = [one for one in world.store.list("firewalls") if concerns(one, droplet)]
    return list_page(world, call, "firewalls", [describe(world, one) for one in found])


def find(world: World, call: Call) -> Thing:
    """Return the firewall that a call is about.

    Raises:
        Refusal: There is none.
    """
    return world.store.get("firewalls", call.which["firewall_id"])


def _put(world: World, which: str, kept: Thing, body: Mapping[str, Any]) -> None:
    words: Thing = {key: body.get(key) or [] for key in (*RULES, *MOST)}
    for key, most in MOST.items():
        if len(words[key]) > most:
            raise refuse_value(f"a firewall has at most {most} {key}")
    if sum(len(words[key]) for key in RULES) > MOST_RULES:
        raise refuse_value(f"a firewall has at most {MOST_RULES} rules")
    for tag in words["tags"]:
        if world.store.find("tags", tag.lower()) is None:
            raise refuse_missing()
    for key in RULES:
        words[key] = [_complete(one) for one in words[key]]
    world.store.put("firewalls", which, {GUARDING: {}, **body, **kept, **words})


def _complete(rule: Any) -> Any:  # noqa: ANN401 - a rule, a tag or an id
    """Return a rule as it is kept: `0`, `all` and, for ICMP, nothing are every port."""
    if isinstance(rule, dict) and rule.get("ports", "all") == "all":
        return {**rule, "ports": "0"}
    return rule


def describe(world: World, firewall: Thing) -> Thing:
    """Return what the API says of one: which droplets it does not hold for yet."""
    late = [
        {"droplet_id": one["id"], "removing": False, "status": "waiting"}
        for one in world.store.list("droplets")
        if concerns(firewall, one) and not is_guarding(world, firewall, one)
    ]
    status = "waiting" if late else "succeeded"
    return {**show(firewall), "status": status, "pending_changes": late}


def concerns(firewall: Thing, droplet: Thing) -> bool:
    """Tell whether a firewall is to hold for a droplet."""
    tagged = any(has_tag(droplet, one) for one in firewall["tags"])
    return tagged or droplet["id"] in firewall["droplet_ids"]


def is_guarding(world: World, firewall: Thing, droplet: Thing) -> bool:
    """Tell whether it does already."""
    since = firewall[GUARDING].get(str(droplet["id"]))
    return since is not None and since <= world.store.now()


class Guard:
    """Has firewalls hold for droplets, some moments after they are to."""

    def __init__(self, world: World) -> None:
        self.world, self.seen = world, -1

    def settle(self) -> None:
        """Note since when each holds for whom."""
        store = self.world.store
        if store.changes == self.seen:
            return
        self.seen = store.changes
        for firewall in store.list("firewalls"):
            concerned = [one for one in store.list("droplets") if concerns(firewall, one)]
            before, late = firewall[GUARDING], self.world.manners.guard
            firewall[GUARDING] = {
                str(one["id"]): before.get(
                    str(one["id"]), store.now() + self.world.draw(late, "guard", one["id"])
                )
                for one in concerned
            }

    def end(self) -> None:
        """Leave nothing behind."""


def is_let_in(world: World, which: str, source: str, port: int, balancer: str = "") -> bool:
    """Tell whether a TCP connection comes to a droplet's port.

    Args:
        world: Where.
        which: The droplet's id.
        source: Whose address it comes from.
        port: The droplet's.
        balancer: Whose address that is, if a balancer's.
    """
    droplet = world.store.find("droplets", which)
    if droplet is None:
        return False
    ours = [
        one
        for one in world.store.list("firewalls")
        if concerns(one, droplet) and is_guarding(world, one, droplet)
    ]
    rules = [rule for one in ours for rule in one["inbound_rules"]]
    return not ours or any(
        rule["protocol"] == "tcp"
        and _holds(rule["ports"], port)
        and _comes_from(world, rule["sources"], source, balancer)
        for rule in rules
    )


def _comes_from(world: World, sources: Mapping[str, Any], address: str, balancer: str) -> bool:
    if balancer:
        return balancer in (sources.get("load_balancer_uids") or ())
    from_droplets = address in _list_addresses(world, sources)
    networks = (ipaddress.ip_network(one) for one in sources.get("addresses") or ())
    return from_droplets or any(ipaddress.ip_address(address) in one for one in networks)


def _list_addresses(world: World, sources: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses of the droplets that a rule names."""
    for one in world.store.list("droplets"):
        tagged = any(has_tag(one, tag) for tag in sources.get("tags") or ())
        if tagged or one["id"] in (sources.get("droplet_ids") or ()):
            yield one["_cards"][0]["ip_address"]


def _holds(ports: str, port: int) -> bool:
    low, _, high = ports.partition("-")
    return ports == "0" or int(low) <= port <= int(high or low)
