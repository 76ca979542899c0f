"""Changes URL maps: pure functions from what the API says of one to the patch that it takes.

A service is a path matcher of its own name, to which host rules lead. The matcher's default action
is the pointer that Traffic moves. Each generation has a route rule beside it, for requests with its
header, which also keeps its backend service in use while it has no traffic.

A patch replaces lists whole, so it has what somebody else put there, too. It is None where there is
nothing to change.
"""

from collections.abc import Mapping
from typing import Any

from immutable_servers.targets.cloud.balancer import choose_number
from immutable_servers.targets.gcp.names import HEADER, last_part

Thing = Mapping[str, Any]
Patch = dict[str, Any] | None

ANY_HOST = "*"
"""Host of a service with a port of its own."""
REFUSE: Thing = {"abort": {"httpStatus": 503, "percentage": 100}}
"""Fault that all requests get while a pointer points to nobody."""
DEFAULTS = ("defaultService", "defaultUrlRedirect", "defaultRouteAction")
"""What says where a path matcher's requests go by default."""
PRIORITIES = 10**9
"""Route rules of generations have the numbers up to this; Google takes 0 to 2147483647."""


def find_matcher(url_map: Thing, service: str) -> Thing | None:
    """Return a service's path matcher, or None."""
    return next((one for one in _list(url_map, "pathMatchers") if one["name"] == service), None)


def find_holder(url_map: Thing, host: str) -> str:
    """Return the service that a host leads to; empty when it leads to none."""
    rules = _list(url_map, "hostRules")
    return next((one["pathMatcher"] for one in rules if host in one["hosts"]), "")


def count_hosts(url_map: Thing, service: str) -> int:
    """Return how many hosts lead to a service."""
    rules = _list(url_map, "hostRules")
    return sum(len(one["hosts"]) for one in rules if one["pathMatcher"] == service)


def read_weights(matcher: Thing) -> dict[str, int]:
    """Return the names of the backend services that a pointer leads to, by weight."""
    action = matcher.get("defaultRouteAction") or {}
    if _is_refusing(action):
        return {}
    found = {matcher["defaultService"]: 1} if "defaultService" in matcher else {}
    found |= {
        one["backendService"]: one["weight"] for one in _list(action, "weightedBackendServices")
    }
    return {last_part(link): int(weight) for link, weight in found.items() if weight}


def render_action(weights: Mapping[str, int], closed: str) -> dict[str, Any]:
    """Return a pointer's action.

    Args:
        weights: Links of backend services by weight; empty is nobody.
        closed: Link of the backend service without servers: an action has to have one.
    """
    listed = [{"backendService": link, "weight": weights[link]} for link in weights]
    if listed:
        return {"weightedBackendServices": listed}
    nobody = [{"backendService": closed, "weight": 1}]
    return {"faultInjectionPolicy": REFUSE, "weightedBackendServices": nobody}


def set_weights(url_map: Thing, service: str, weights: Mapping[str, int], closed: str) -> Patch:
    """Return the patch that points a service, as `render_action` takes it."""
    matcher = find_matcher(url_map, service)
    if matcher is None:
        return None
    kept = {key: value for key, value in matcher.items() if key not in DEFAULTS}
    return _put(url_map, {**kept, "defaultRouteAction": render_action(weights, closed)})


def add_service(
    url_map: Thing, service: str, host: str, closed: str, like: Thing | None = None
) -> Patch:
    """Return the patch that leads a host to a service, where no other one has it.

    Its new path matcher is as the one that it has in another map, or else points to nobody.
    """
    matcher = find_matcher(url_map, service) or like
    new = {"name": service, "defaultRouteAction": render_action({}, closed)}
    patch = _put(url_map, matcher or new) or {}
    if find_holder(url_map, host) != service:
        rule = {"hosts": [host], "pathMatcher": service}
        patch["hostRules"] = [*_list(url_map, "hostRules"), rule]
    return patch or None


def remove_service(url_map: Thing, service: str, host: str) -> Patch:
    """Return the patch by which a host leads to a service no more; its last one takes all along."""
    if find_holder(url_map, host) != service:
        return None
    rules = [
        {**one, "hosts": [name for name in one["hosts"] if name != host]}
        for one in _list(url_map, "hostRules")
    ]
    patch: dict[str, Any] = {"hostRules": [one for one in rules if one["hosts"]] or None}
    if count_hosts(patch, service) == 0:
        matchers = [one for one in _list(url_map, "pathMatchers") if one["name"] != service]
        patch["pathMatchers"] = matchers or None
    return patch


def add_route(url_map: Thing, service: str, link: str, value: str) -> Patch:
    """Return the patch that adds a generation's route rule, unless there is one.

    Args:
        url_map: What the API says.
        service: Whose matcher it is in.
        link: Of the generation's backend service.
        value: Of our header, in requests to the generation.
    """
    matcher = find_matcher(url_map, service)
    if matcher is None or find_value(matcher, last_part(link)):
        return None
    rules = _list(matcher, "routeRules")
    condition = {"headerName": HEADER, "exactMatch": value}
    seed, taken = int.from_bytes(last_part(link).encode()), {one["priority"] for one in rules}
    rule = {
        "priority": choose_number(seed, PRIORITIES, taken),
        "matchRules": [{"prefixMatch": "/", "headerMatches": [condition]}],
        "service": link,
    }
    ordered = sorted([*rules, rule], key=lambda one: int(one["priority"]))
    return _put(url_map, {**matcher, "routeRules": ordered})


def remove_route(url_map: Thing, service: str, backend: str) -> Patch:
    """Return the patch that takes out the route rules to a backend service, by its name."""
    matcher = find_matcher(url_map, service) or {}
    rules = _list(matcher, "routeRules")
    kept = [one for one in rules if last_part(one.get("service", "")) != backend]
    return None if kept == rules else _put(url_map, {**matcher, "routeRules": kept})


def find_value(matcher: Thing, backend: str) -> str:
    """Return what our header says in requests to a backend service; empty without a route rule."""
    rules = [r for r in _list(matcher, "routeRules") if last_part(r.get("service", "")) == backend]
    matches = [match for rule in rules for match in rule["matchRules"]]
    conditions = [one for match in matches for one in match.get("headerMatches", ())]
    values = (one.get("exactMatch", "") for one in conditions if one["headerName"] == HEADER)
    return next(values, "")


def _list(thing: Thing, key: str) -> list[Any]:
    return list(thing.get(key) or ())


def _is_refusing(action: Thing) -> bool:
    """Return whether nobody gets a request by an action."""
    abort = action.get("faultInjectionPolicy", {}).get("abort", {})
    return bool(abort.get("percentage", 0) >= REFUSE["abort"]["percentage"])


def _put(url_map: Thing, matcher: Thing) -> Patch:
    """Return the patch with a path matcher in the place of the one of its name, or at the end."""
    old = _list(url_map, "pathMatchers")
    new = [matcher if one["name"] == matcher["name"] else one for one in old]
    if find_matcher(url_map, matcher["name"]) is None:
        new.append(matcher)
    return None if new == old else {"pathMatchers": new}
