"""Load balancers, as the API has them: one pool, by a tag or by ids, and no routing.

An update is a PUT of everything: what a request leaves out is as by default. What passes requests
on is in `fronts.py`.
"""

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.places import find_vpc
from clouds.digitalocean.emulation.refusals import BUSY, Refusal, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.tags import has_tag
from clouds.digitalocean.emulation.world import BALANCERS, NODES, World

ONE = "/v2/load_balancers/{lb_id}"
MOST_BY_ID = 10
"""https://docs.digitalocean.com/products/networking/load-balancers/details/limits/"""
CHECK: Mapping[str, Any] = {
    "protocol": "http",
    "port": 80,
    "path": "/",
    "check_interval_seconds": 10,
    "response_timeout_seconds": 5,
    "unhealthy_threshold": 5,
    "healthy_threshold": 3,
}
DEFAULTS: Mapping[str, Any] = {
    "size_unit": 1,
    "algorithm": "round_robin",
    "redirect_http_to_https": False,
    "enable_proxy_protocol": False,
    "enable_backend_keepalive": False,
    "http_idle_timeout_seconds": 60,
    "disable_lets_encrypt_dns_records": False,
    "network": "EXTERNAL",
    "network_stack": "IPV4",
    "type": "REGIONAL",
    "tls_cipher_policy": "DEFAULT",
    "project_id": "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30",
}
EMULATED: Mapping[str, tuple[object, ...]] = {
    "enable_proxy_protocol": (False,),
    "network": ("EXTERNAL",),
    "network_stack": ("IPV4",),
    "type": ("REGIONAL",),
    "domains": (None, []),
    "target_load_balancer_ids": (None, []),
}
"""What of some fields is emulated; anything else is refused loudly."""
SHORTEST = 1.0
"""How long an answer to a check may take at least: this machine may be slow."""


@answers("loadBalancers.list", "GET /v2/load_balancers", "load_balancer:read")
def list_balancers(world: World, call: Call) -> Body:
    """Return all of them."""
    found = [describe(one) for one in world.store.list("load_balancers")]
    return list_page(world, call, "load_balancers", found)


@answers("loadBalancers.create", "POST /v2/load_balancers", "load_balancer:create", code=202)
def create(world: World, call: Call) -> Body:
    """Make one, which is new until it is active, and has no address before."""
    store, which = world.store, str(uuid.uuid4())
    region = store.get("regions", call.body["region"])
    kept = {
        "id": which,
        "ip": "",
        "status": "new",
        "created_at": store.tell_time(),
        "region": region,
        "vpc_uuid": find_vpc(world, region["slug"], call.body.get("vpc_uuid") or ""),
        "_pool": [],
        "_source": world.take_place(NODES),
        "_busy": 0.0,
    }
    balancer = _put(world, kept, call.body)
    address = world.take_place(BALANCERS)
    world.later(
        world.draw(world.manners.busy, "balancer", which),
        lambda: _ignore(store.change("load_balancers", which, status="active", ip=address)),
    )
    return {"load_balancer": describe(balancer)}


@answers("loadBalancers.get", f"GET {ONE}", "load_balancer:read")
def get(world: World, call: Call) -> Body:
    """Return one; its droplets are those that it holds now, by a tag too."""
    return {"load_balancer": describe(find(world, call))}


@answers("loadBalancers.update", f"PUT {ONE}", "load_balancer:update")
def update(world: World, call: Call) -> Body:
    """Have one be as the request says, and as by default in all that it leaves out."""
    before = _find_idle(world, call)
    names = ("id", "ip", "status", "created_at", "region", "vpc_uuid")
    kept = {key: one for key, one in before.items() if key in names or key.startswith("_")}
    return {"load_balancer": describe(_put(world, kept, call.body))}


@answers("loadBalancers.delete", f"DELETE {ONE}", "load_balancer:delete", code=204)
def delete(world: World, call: Call) -> None:
    """Delete one, whoever asks it."""
    world.store.remove("load_balancers", find(world, call)["id"])


@answers("loadBalancers.add_droplets", f"POST {ONE}/droplets", "load_balancer:update", code=204)
def add_droplets(world: World, call: Call) -> None:
    """Add droplets by id: a balancer of a tag takes none."""
    before = _find_idle(world, call)
    if before["tag"]:
        raise refuse_value("cannot add droplets to a load balancer that is assigned a tag")
    ids = [*dict.fromkeys([*before["_ids"], *call.body["droplet_ids"]])]
    _put(world, before, {**before, "droplet_ids": ids})


@answers(
    "loadBalancers.remove_droplets", f"DELETE {ONE}/droplets", "load_balancer:update", code=204
)
def remove_droplets(world: World, call: Call) -> None:
    """Take droplets away by id."""
    before = _find_idle(world, call)
    ids = [one for one in before["_ids"] if one not in call.body["droplet_ids"]]
    _put(world, before, {**before, "droplet_ids": ids})


def find(world: World, call: Call) -> Thing:
    """Return the balancer that a call is about.

    Raises:
        Refusal: There is none.
    """
    return world.store.get("load_balancers", call.which["lb_id"])


def _find_idle(world: World, call: Call) -> Thing:
    """Return the balancer that a call is about, if it can be changed now.

    Raises:
        Refusal: There is none, or it is busy.
    """
    balancer = find(world, call)
    if balancer["status"] == "new" or balancer["_busy"] > time.monotonic():
        raise Refusal("forbidden", BUSY)
    return balancer


def _put(world: World, kept: Mapping[str, Any], body: Mapping[str, Any]) -> Thing:
    words = {**DEFAULTS, **{key: one for key, one in body.items() if one is not None}}
    ids = words.pop("droplet_ids", [])
    whole = {
        **words,
        "tag": words.get("tag", ""),
        "health_check": {**CHECK, **words.get("health_check", {})},
        "sticky_sessions": {"type": "none", **words.get("sticky_sessions", {})},
        "firewall": {"allow": [], "deny": [], **words.get("firewall", {})},
        **kept,
        "_ids": ids,
        "_busy": time.monotonic() + world.manners.busy,
    }
    _check(world, whole)
    return world.store.put("load_balancers", whole["id"], whole)


def _check(world: World, balancer: Thing) -> None:
    for key, known in EMULATED.items():
        if balancer.get(key) not in known:
            raise Refusal("not_emulated", f"{key} {balancer[key]} of a balancer is not emulated")
    if balancer["sticky_sessions"]["type"] != "none":
        raise Refusal("not_emulated", "sessions that stick are not emulated")
    if balancer["tag"] and balancer["_ids"]:
        raise refuse_value("droplet_ids and tag are mutually exclusive")
    if len(balancer["_ids"]) > MOST_BY_ID:
        raise refuse_value(f"a load balancer has at most {MOST_BY_ID} droplets by id")
    for rule in balancer["forwarding_rules"]:
        _check_rule(world, rule)


def _check_rule(world: World, rule: Mapping[str, Any]) -> None:
    if rule["entry_protocol"] not in ("http", "https") or rule["target_protocol"] != "http":
        raise Refusal("not_emulated", f"the forwarding rule {dict(rule)} is not emulated")
    if rule["entry_protocol"] == "https":
        certificate = world.store.find("certificates", rule.get("certificate_id"))
        if certificate is None:
            raise refuse_value("certificate_id must be that of a certificate")


def describe(balancer: Thing) -> Thing:
    """Return what the API says of a balancer."""
    return {**show(balancer), "droplet_ids": balancer["_pool"]}


def find_answer_seconds(world: World, check: Mapping[str, Any]) -> float:
    """Return how long an answer to a check may take here."""
    return max(float(check["response_timeout_seconds"]) * world.manners.pace, SHORTEST)


def tell_pace(world: World, body: Body) -> Body:
    """Return an answer whose health checks have the times that they have here.

    Our own code waits for a number of checks; the API's times are whole seconds, and many.
    """
    told = json.loads(json.dumps(body))
    for one in [told.get("load_balancer"), *(told.get("load_balancers") or ())]:
        if one:
            check = one["health_check"]
            check["response_timeout_seconds"] = find_answer_seconds(world, check)
            check["check_interval_seconds"] = world.manners.check
    return dict(told)


class Pools:
    """Has the pools of balancers follow their tags, late and each in its own time."""

    def __init__(self, world: World) -> None:
        self.world, self.seen = world, -1
        self.wanted: dict[str, list[int]] = {}

    def settle(self) -> None:
        """Have what a change asks for come some time later."""
        store = self.world.store
        if store.changes == self.seen:
            return
        self.seen = store.changes
        for balancer in store.list("load_balancers"):
            which, wanted = balancer["id"], list_wanted(self.world, balancer)
            if self.wanted.get(which, []) != wanted:
                self.wanted[which] = wanted
                manners = self.world.manners
                late = manners.follow * manners.draw("follow", which, store.changes)
                self.world.later(late, lambda which=which: self._follow(which))  # type: ignore[misc]

    def _follow(self, which: str) -> None:
        """Have a pool be what it is to be by now."""
        balancer = self.world.store.get("load_balancers", which)
        wanted = list_wanted(self.world, balancer)
        if balancer["_pool"] != wanted:
            self.world.store.change("load_balancers", which, _pool=wanted)
            self.world.journal.note("pool", balancer=balancer["name"], droplets=wanted)

    def end(self) -> None:
        """Leave nothing behind."""


def list_wanted(world: World, balancer: Thing) -> list[int]:
    """Return the droplets that a balancer is to hold: those of its tag in its VPC, or its ids."""
    return [
        one["id"]
        for one in world.store.list("droplets")
        if one["vpc_uuid"] == balancer["vpc_uuid"]
        and one["status"] != "new"
        and not one.get("_ending")
        and (has_tag(one, balancer["tag"]) if balancer["tag"] else one["id"] in balancer["_ids"])
    ]


def _ignore(_thing: Thing) -> None:
    """Return nothing, as an effect does."""
