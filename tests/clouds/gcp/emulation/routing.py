"""What a URL map does with a request: pure functions of the map as the API has it.

The schemas' own descriptions in Google's discovery document say how a map is read: `HostRule`,
`PathMatcher`, `HttpRouteRule`, `HttpHeaderMatch`, `HttpRouteAction`. The rest is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Thing = Mapping[str, Any]
"""A part of a URL map."""
EVERYTHING = 100.0
ACTIONS = ("defaultService", "defaultRouteAction", "defaultUrlRedirect")
ACTED_ON = {"faultInjectionPolicy", "weightedBackendServices"}
"""Parts of a route action that are emulated."""
SAID = {"MOVED_PERMANENTLY_DEFAULT": 301, "FOUND": 302, "SEE_OTHER": 303}
SAID |= {"TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308}


@dataclass(frozen=True)
class Asked:
    """A request; `headers` are by name in small letters, `host` has no port."""

    host: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What is done with a request, in this order.

    Attributes:
        redirect: Code and place to go to instead.
        abort: A code, and the percentage of requests that are answered with it.
        services: Names of backend services by their weight.
    """

    redirect: tuple[int, str] | None = None
    abort: tuple[int, float] | None = None
    services: Mapping[str, int] = field(default_factory=dict)


def find_action(url_map: Thing, asked: Asked) -> Found:
    """Return what a map does with a request."""
    matcher = _find_matcher(url_map, asked.host)
    if matcher.get("pathRules"):
        _refuse("pathRules")
    for rule in sorted(matcher.get("routeRules", ()), key=lambda one: int(one["priority"])):
        if any(_matches(one, asked) for one in rule["matchRules"]):
            return _read_action(
                rule.get("service", ""), rule.get("routeAction"), rule.get("urlRedirect"), asked
            )
    service, action, redirect = (matcher.get(name) for name in ACTIONS)
    return _read_action(service, action, redirect, asked)


def pick_service(weights: Mapping[str, int], chance: Callable[[], float]) -> str:
    """Return a backend service by chance, as its weight says; empty without one."""
    left = chance() * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return ""


def list_services(url_map: Thing) -> set[str]:
    """Return the names of all backend services that a map refers to."""
    found: set[str] = set()
    for matcher in (url_map, *url_map.get("pathMatchers", ())):
        found |= _list_named(*(matcher.get(name) for name in ACTIONS[:2]))
        for rule in matcher.get("routeRules", ()):
            found |= _list_named(rule.get("service"), rule.get("routeAction"))
    return found


def find_name(url: str) -> str:
    """Return the name at the end of a URL, full or in part."""
    return url.rpartition("/")[2]


def _list_named(service: str | None, action: Thing | None) -> set[str]:
    weighted = (action or {}).get("weightedBackendServices", ())
    return {
        find_name(one) for one in (service, *(each["backendService"] for each in weighted)) if one
    }


def _find_matcher(url_map: Thing, host: str) -> Thing:
    """Return the path matcher of a host; the map itself, with its defaults, where none takes it."""
    best, name = -1, ""
    for rule in url_map.get("hostRules", ()):
        for pattern in rule["hosts"]:
            if _takes_host(pattern, host) and len(pattern) > best:
                best, name = len(pattern), rule["pathMatcher"]
    found = (one for one in url_map.get("pathMatchers", ()) if one["name"] == name)
    return next(found, {name: url_map[name] for name in ACTIONS if name in url_map})


def _takes_host(pattern: str, host: str) -> bool:
    """Tell whether a host rule's pattern takes a host; `*` is a first label, or everything."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return host.lower().endswith(pattern[1:].lower())
    return host.lower() == pattern.lower()


def _matches(rule: Thing, asked: Asked) -> bool:
    """Tell whether all that a match rule says is true of a request."""
    unknown = {*rule} - {"prefixMatch", "fullPathMatch", "ignoreCase", "headerMatches"}
    if unknown or rule.get("ignoreCase"):
        _refuse(*unknown or ("ignoreCase",))
    path = asked.path.partition("?")[0]
    if "fullPathMatch" in rule and path != rule["fullPathMatch"]:
        return False
    if not path.startswith(rule.get("prefixMatch", "")):
        return False
    return all(_has_header(one, asked.headers) for one in rule.get("headerMatches", ()))


def _has_header(match: Thing, headers: Mapping[str, str]) -> bool:
    """Tell whether a header is as a match wants it; one that is missing matches nothing."""
    said = headers.get(match["headerName"].lower())
    tests: Mapping[str, Callable[[Any, str], bool]] = {
        "exactMatch": lambda wanted, value: value == wanted,
        "prefixMatch": lambda wanted, value: value.startswith(wanted),
        "suffixMatch": lambda wanted, value: value.endswith(wanted),
        "presentMatch": lambda wanted, _value: bool(wanted),
        "regexMatch": lambda wanted, value: re.fullmatch(wanted, value) is not None,
    }
    unknown = {*match} - {*tests, "headerName", "invertMatch"}
    if unknown:
        _refuse(*unknown)
    wanted = [name for name in tests if name in match]
    ok = said is not None and all(tests[name](match[name], said) for name in wanted)
    return ok != bool(match.get("invertMatch"))


def _read_action(
    service: str | None, action: Thing | None, redirect: Thing | None, asked: Asked
) -> Found:
    if redirect:
        return Found(redirect=_render_redirect(redirect, asked))
    action = action or {}
    unknown = {*action} - ACTED_ON
    if unknown:
        _refuse(*unknown)
    weighted: Sequence[Thing] = action.get("weightedBackendServices", ())
    services = {find_name(one["backendService"]): int(one["weight"]) for one in weighted}
    return Found(
        abort=_read_abort(action.get("faultInjectionPolicy", {})),
        services=services or {find_name(service or ""): 1},
    )


def _read_abort(policy: Thing) -> tuple[int, float] | None:
    if {*policy} - {"abort"}:
        _refuse(*policy)
    abort = policy.get("abort")
    return (int(abort["httpStatus"]), float(abort["percentage"])) if abort else None


def _render_redirect(redirect: Thing, asked: Asked) -> tuple[int, str]:
    """Return code and place of a redirect, which keeps what it does not name, but for the port."""
    path, _, query = asked.path.partition("?")
    scheme = "https" if redirect.get("httpsRedirect") else "http"
    place = f"{scheme}://{redirect.get('hostRedirect') or asked.host}"
    place += redirect.get("pathRedirect") or path
    kept = "" if redirect.get("stripQuery") or not query else f"?{query}"
    return SAID[redirect.get("redirectResponseCode") or "MOVED_PERMANENTLY_DEFAULT"], place + kept


def _refuse(*names: str) -> None:
    message = f"the emulated balancer does not know {', '.join(sorted(names))} of a URL map"
    raise NotImplementedError(message)
