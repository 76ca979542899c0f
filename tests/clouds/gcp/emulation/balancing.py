"""Health checks, backend services, URL maps, proxies, forwarding rules, addresses, certificates."""

from collections.abc import Mapping
from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.kinds import CHANGED, KINDS, LABELLED, PLAIN, Kind, find_kind, need
from clouds.gcp.emulation.links import make_link, normalize, read_path
from clouds.gcp.emulation.plain import (
    check,
    delete,
    get,
    list_,
    prepare,
    refuse_busy,
)
from clouds.gcp.emulation.refusals import Refusal, refuse_invalid
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.url_maps import check_url_map, find_map_errors
from clouds.gcp.emulation.world import World

PROXIES = ("targetHttpProxies", "targetHttpsProxies")


def check_health(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a health check that does not say how it asks, or cannot be answered in time."""
    del world, path
    need(thing, "type")
    if thing["timeoutSec"] > thing["checkIntervalSec"]:
        raise refuse_invalid(
            "resource.timeoutSec", thing["timeoutSec"], "It is above the interval."
        )
    words = f"{str(thing['type']).lower().replace('_', '')}HealthCheck"
    others = [key for key in thing if key.endswith("HealthCheck") and key.lower() != words.lower()]
    if others:
        raise refuse_invalid(f"resource.{others[0]}", "", f"The type is {thing['type']}.")


def check_backend_service(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a backend service that Google could not serve from."""
    del world, path
    if thing.get("backends") and not thing.get("healthChecks"):
        raise refuse_invalid("resource.healthChecks", "[]", "A health check is required.")
    if len(thing.get("healthChecks", [])) > 1:
        raise refuse_invalid("resource.healthChecks", "", "At most one is possible.")
    for header in thing.get("customResponseHeaders", []):
        if ":" not in header:
            raise refuse_invalid("resource.customResponseHeaders", header)
    groups = [backend.get("group") for backend in thing.get("backends", [])]
    if len(set(groups)) < len(groups):
        raise refuse_invalid("resource.backends", "", "A group is there twice.")


def check_proxy(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a proxy without a map, or an HTTPS one without a certificate."""
    del world
    need(thing, "urlMap")
    if "/targetHttpsProxies/" in path and not thing.get("sslCertificates"):
        raise refuse_invalid("resource.sslCertificates", "[]", "A certificate is required.")


def check_rule(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a forwarding rule without a target, or for an address and port that are taken."""
    need(thing, "target", "portRange", "IPAddress")
    for other, rule in world.store.list(path.rpartition("/")[0]).items():
        taken = (rule["IPAddress"], rule["portRange"]) == (thing["IPAddress"], thing["portRange"])
        if taken and other != path:
            raise refuse_invalid("resource.portRange", thing["portRange"], f"'{other}' has it.")


def check_certificate(world: World, path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a managed certificate without domains, and a kept one without its texts."""
    del world, path
    if thing.get("type") == "MANAGED":
        need(thing.get("managed", {}), "domains")
    else:
        need(thing, "certificate", "privateKey")


KINDS |= {
    "healthChecks": Kind(
        CHANGED,
        defaults={
            "checkIntervalSec": 5,
            "timeoutSec": 5,
            "healthyThreshold": 2,
            "unhealthyThreshold": 2,
        },
        users=("backendServices", "instanceGroupManagers"),
        check=check_health,
    ),
    "backendServices": Kind(
        CHANGED,
        defaults={
            "protocol": "HTTP",
            "timeoutSec": 30,
            "sessionAffinity": "NONE",
            "loadBalancingScheme": "EXTERNAL",
            "connectionDraining": {"drainingTimeoutSec": 0},
        },
        fingerprint=True,
        users=("urlMaps",),
        check=check_backend_service,
    ),
    "urlMaps": Kind(CHANGED, fingerprint=True, users=PROXIES, check=check_url_map),
    "targetHttpProxies": Kind(PLAIN, users=("forwardingRules",), check=check_proxy),
    "targetHttpsProxies": Kind(PLAIN, users=("forwardingRules",), check=check_proxy),
    "globalForwardingRules": Kind(LABELLED | {"patch"}),
    "globalAddresses": Kind(LABELLED),
    "sslCertificates": Kind(PLAIN, users=("targetHttpsProxies",), check=check_certificate),
}


@answers("compute.backendServices.setSecurityPolicy")
def set_security(world: World, call: Call) -> Thing:
    """Have a policy say who reaches a backend service; an empty one lets everybody."""
    path = call.path.rpartition("/")[0]
    words = normalize({"securityPolicy": call.body.get("securityPolicy") or ""}, call.project)
    refuse_busy(world, path)
    check(world, path, {**world.store.get(path), **words}, find_kind("backendServices"))

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), **words})

    return world.begin(call, path, finish)


# proxies
@answers("compute.targetHttpProxies.setUrlMap", "compute.targetHttpsProxies.setUrlMap")
def set_url_map(world: World, call: Call) -> Thing:
    """Have a proxy follow another map."""
    return _set(world, call, {"urlMap": call.body.get("urlMap", "")})


@answers("compute.targetHttpsProxies.setSslCertificates")
def set_certificates(world: World, call: Call) -> Thing:
    """Have a proxy show other certificates."""
    return _set(world, call, {"sslCertificates": call.body.get("sslCertificates", [])})


@answers("compute.targetHttpsProxies.setSslPolicy")
def set_policy(world: World, call: Call) -> Thing:
    """Have a proxy follow a policy of TLS versions."""
    return _set(world, call, {"sslPolicy": call.body.get("sslPolicy", "")})


def _set(world: World, call: Call, words: Mapping[str, Any]) -> Thing:
    """Change a proxy, whose path in these calls has no `global`."""
    _, project, collection, name, _ = call.path.split("/")
    path = f"projects/{project}/global/{collection}/{name}"
    new = {**world.store.get(path), **normalize(words, project)}
    refuse_busy(world, path)
    check(world, path, new, find_kind(collection))

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), **normalize(words, project)})

    return world.begin(call, path, finish)


# forwarding rules
@answers("compute.globalForwardingRules.insert")
def insert_rule(world: World, call: Call) -> Thing:
    """Have an address and port lead to a proxy."""
    need(call.body, "name")
    path = f"{call.path}/{call.body['name']}"
    rule = prepare(world, call, find_kind("globalForwardingRules"), path, call.body)
    address = world.store.find(read_path(str(rule.get("IPAddress", "")), call.project))
    if address:
        rule["IPAddress"] = address["address"]
    ports = str(rule.get("portRange", ""))
    rule |= {"portRange": ports if "-" in ports else f"{ports}-{ports}", "IPProtocol": "TCP"}
    check_rule(world, path, rule)

    def finish() -> None:
        world.store.make(path, rule)

    return world.begin(call, path, finish, kind="insert")


@answers("compute.globalForwardingRules.setTarget")
def set_target(world: World, call: Call) -> Thing:
    """Have an address and port lead elsewhere."""
    path = call.path.rpartition("/")[0]
    words = normalize({"target": call.body.get("target", "")}, call.project)
    old = world.store.get(path)
    new = {**old, **words}
    refuse_busy(world, path)
    if old["target"].split("/")[-2] != new["target"].split("/")[-2]:
        # https://cloud.google.com/compute/docs/reference/rest/v1/globalForwardingRules/setTarget
        raise refuse_invalid("target", new["target"], "It is not of the type of the old target.")
    check(world, path, new, find_kind("globalForwardingRules"))

    def finish() -> None:
        world.store.put(path, {**world.store.get(path), **words})

    return world.begin(call, path, finish)


# addresses
@answers("compute.globalAddresses.insert")
def insert_address(world: World, call: Call) -> Thing:
    """Keep an address."""
    need(call.body, "name")
    path = f"{call.path}/{call.body['name']}"
    address = prepare(world, call, find_kind("globalAddresses"), path, call.body)
    address |= {"address": world.take_address(public=True), "addressType": "EXTERNAL"}

    def finish() -> None:
        world.store.make(path, address)

    return world.begin(call, path, finish, kind="insert")


@answers("compute.globalAddresses.get")
def get_address(world: World, call: Call) -> Thing:
    """Return an address with who uses it."""
    return _tell_users(world, get(world, call, find_kind("globalAddresses")))


@answers("compute.globalAddresses.list")
def list_addresses(world: World, call: Call) -> dict[str, Any]:
    """Return addresses with who uses them."""
    answer = list_(world, call, find_kind("globalAddresses"))
    return {**answer, "items": [_tell_users(world, one) for one in answer["items"]]}


@answers("compute.globalAddresses.delete")
def delete_address(world: World, call: Call) -> Thing:
    """Give an address up that no rule uses."""
    users = _tell_users(world, world.store.get(call.path)).get("users", [])
    if users:
        raise Refusal(
            "resourceInUseByAnotherResource",
            f"The address resource '{call.path}' is already being used by '{users[0]}'",
        )
    return delete(world, call, find_kind("globalAddresses"))


def _tell_users(world: World, address: Thing) -> Thing:
    place = "/".join(read_path(address["selfLink"], "").split("/")[:3])
    users = [
        make_link(path)
        for path, rule in world.store.list(f"{place}/forwardingRules").items()
        if rule["IPAddress"] == address["address"]
    ]
    return {
        **address,
        "status": "IN_USE" if users else "RESERVED",
        **({"users": users} if users else {}),
    }


# certificates
@answers("compute.sslCertificates.insert")
def insert_certificate(world: World, call: Call) -> Thing:
    """Keep a certificate; a managed one is PROVISIONING until its names lead here."""
    need(call.body, "name")
    path = f"{call.path}/{call.body['name']}"
    certificate = prepare(world, call, find_kind("sslCertificates"), path, call.body)
    certificate.pop("privateKey", None)
    if certificate.get("type") == "MANAGED":
        domains = certificate["managed"]["domains"]
        state = world.manners.certificates
        certificate["managed"] |= {"status": state, "domainStatus": dict.fromkeys(domains, state)}

    def finish() -> None:
        world.store.make(path, certificate)

    return world.begin(call, path, finish, kind="insert")


# maps
@answers("compute.urlMaps.validate")
def validate(world: World, call: Call) -> dict[str, Any]:
    """Tell whether a map would be taken."""
    resource = normalize(call.body.get("resource", {}), call.project)
    errors = find_map_errors(world, resource)
    result: dict[str, Any] = {"loadSucceeded": not errors}
    if errors:
        result["loadErrors"] = errors
    return {"result": result}
