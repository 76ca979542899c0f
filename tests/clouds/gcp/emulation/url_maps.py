"""What a URL map may say, beyond its schema.

https://cloud.google.com/compute/docs/reference/rest/v1/urlMaps
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clouds.gcp.emulation.links import list_references
from clouds.gcp.emulation.refusals import Refusal

if TYPE_CHECKING:
    from clouds.gcp.emulation.world import World

MOST_WEIGHT, MOST_PRIORITY = 1000, 2147483647
PATHS = ("prefixMatch", "fullPathMatch", "regexMatch", "pathTemplateMatch")
TARGETS = ("defaultService", "defaultRouteAction", "defaultUrlRedirect")
"""What a map or a path matcher does when nothing else matches."""


def check_url_map(world: "World", path: str, thing: Mapping[str, Any]) -> None:
    """Refuse a map that Google would not take.

    Raises:
        Refusal: With the first of its mistakes.
    """
    del path
    errors = find_map_errors(world, thing)
    if errors:
        raise Refusal("invalid", f"Invalid value for field 'resource': ''. {errors[0]}")


def find_map_errors(world: "World", thing: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a map."""
    return list(_find_errors(world, thing))


def _find_errors(world: "World", thing: Mapping[str, Any]) -> Iterator[str]:
    for _, used in list_references(thing):
        service = world.store.find(used)
        if service is None:
            yield f"The resource '{used}' was not found"
        elif service.get("loadBalancingScheme") != "EXTERNAL_MANAGED":
            yield f"'{used}' is not of the scheme EXTERNAL_MANAGED: this emulator knows no other"
    yield from _check_default(thing, "the map")
    matchers = thing.get("pathMatchers", [])
    names = [matcher.get("name") for matcher in matchers]
    if len(set(names)) < len(names):
        yield "The names of path matchers must be unique"
    yield from _check_hosts(thing.get("hostRules", []), names)
    for matcher in matchers:
        yield from _check_default(matcher, f"the path matcher {matcher.get('name')}")
        yield from _check_routes(matcher)


def _check_hosts(rules: list[Mapping[str, Any]], matchers: list[Any]) -> Iterator[str]:
    hosts = [host for rule in rules for host in rule.get("hosts", [])]
    if len(set(hosts)) < len(hosts):
        yield "A host is in more than one host rule"
    named = [rule.get("pathMatcher") for rule in rules]
    if any(not rule.get("hosts") for rule in rules):
        yield "A host rule needs hosts"
    for one in named:
        if one not in matchers:
            yield f"The path matcher '{one}' of a host rule was not found"
    for one in matchers:
        if one not in named:
            yield f"The path matcher '{one}' is in no host rule"


def _check_default(thing: Mapping[str, Any], where: str) -> Iterator[str]:
    """Check that one target is given; a service beside an action without weights is fine."""
    action = thing.get("defaultRouteAction", {})
    given = [name for name in TARGETS if thing.get(name)]
    if "defaultRouteAction" in given and not action.get("weightedBackendServices"):
        given.remove("defaultRouteAction")
    if len(given) != 1:
        yield f"Exactly one of {', '.join(TARGETS)} must say where {where} leads, not {given}"
    yield from _check_action(action, where)


def _check_routes(matcher: Mapping[str, Any]) -> Iterator[str]:
    rules, where = matcher.get("routeRules", []), f"the path matcher {matcher.get('name')}"
    if rules and matcher.get("pathRules"):
        yield f"Only one of pathRules and routeRules can be in {where}"
    priorities = [rule.get("priority") for rule in rules]
    if any(not isinstance(one, int) or not 0 <= one <= MOST_PRIORITY for one in priorities):
        yield f"Each route rule of {where} needs a priority from 0 to {MOST_PRIORITY}"
    if len(set(priorities)) < len(priorities):
        yield f"The priorities of {where} must be unique"
    for rule in rules:
        yield from _check_route(rule, where)


def _check_route(rule: Mapping[str, Any], where: str) -> Iterator[str]:
    action = rule.get("routeAction", {})
    given = [name for name in ("service", "urlRedirect") if rule.get(name)]
    if action.get("weightedBackendServices"):
        given.append("routeAction")
    if len(given) != 1:
        yield f"A route rule of {where} must lead to one target, not {given}"
    if not rule.get("matchRules"):
        yield f"A route rule of {where} needs match rules"
    for match in rule.get("matchRules", []):
        paths = [
            key
            for key in ("prefixMatch", "fullPathMatch", "regexMatch", "pathTemplateMatch")
            if key in match
        ]
        if len(paths) != 1:
            yield f"A match rule of {where} must match exactly one kind of path, not {paths}"
        for header in match.get("headerMatches", []):
            if not header.get("headerName"):
                yield f"A header match of {where} needs a name"
    yield from _check_action(action, where)


def _check_action(action: Mapping[str, Any], where: str) -> Iterator[str]:
    weighted = action.get("weightedBackendServices", [])
    weights = [one.get("weight", 0) for one in weighted]
    if any(not 0 <= weight <= MOST_WEIGHT for weight in weights):
        yield f"A weight in {where} is not from 0 to {MOST_WEIGHT}"
    if weighted and not sum(weights):
        yield f"The sum of the weights in {where} must be above 0"
    services = [one.get("backendService") for one in weighted]
    if len(set(services)) < len(services) or not all(services):
        yield f"Each weighted backend service in {where} must be there once"
    abort = action.get("faultInjectionPolicy", {}).get("abort", {})
    if abort and not (
        200 <= abort.get("httpStatus", 0) < 600 and 0 <= abort.get("percentage", -1) <= 100
    ):
        yield f"The abort in {where} needs an httpStatus from 200 to 599 and a percentage"
