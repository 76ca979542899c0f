"""How the emulated front ends read a URL map."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from clouds.gcp.emulation.routing import Asked, Found, find_action, list_services, pick_service

CLOSED = {
    "faultInjectionPolicy": {"abort": {"httpStatus": 503, "percentage": 100}},
    "weightedBackendServices": [
        {"backendService": "projects/p/global/backendServices/closed", "weight": 1}
    ],
}
NOBODY = Found(abort=(503, 100.0), services={"closed": 1})


def make_rule(priority: int, service: str, *matches: Mapping[str, Any]) -> dict[str, Any]:
    """Return a route rule."""
    return {
        "priority": priority,
        "matchRules": list(matches),
        "service": f"https://www.googleapis.com/compute/v1/projects/p/global/backendServices/{service}",
    }


def make_header(value: str, kind: str = "exactMatch", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a match rule of a header."""
    header = {"headerName": "X-Immutable-Generation", kind: value, **more}
    return {"prefixMatch": "/", "headerMatches": [header]}


def make_map(*rules: Mapping[str, Any], action: Mapping[str, Any] = CLOSED) -> dict[str, Any]:
    """Return a service's map, with these route rules."""
    matcher = {"name": "web", "routeRules": list(rules), "defaultRouteAction": action}
    return {
        "defaultService": "projects/p/global/backendServices/closed",
        "defaultRouteAction": CLOSED,
        "hostRules": [{"hosts": ["*"], "pathMatcher": "web"}],
        "pathMatchers": [matcher],
    }


def ask(
    url_map: Mapping[str, Any], *, host: str = "192.0.2.1", path: str = "/", **headers: str
) -> Found:
    """Return what is done with a request; `_` in a header's name stands for `-`."""
    return find_action(
        url_map, Asked(host, path, {name.replace("_", "-"): text for name, text in headers.items()})
    )


def test_a_map_without_a_matcher_for_the_host_takes_its_own_defaults() -> None:
    """With a service, an action that aborts, or a redirect."""
    assert ask({"defaultService": "global/backendServices/one"}) == Found(services={"one": 1})
    url_map = make_map(make_rule(1, "one", {"prefixMatch": "/"}))
    url_map["hostRules"] = [{"hosts": ["www.example.com"], "pathMatcher": "web"}]
    assert ask(url_map) == NOBODY
    assert ask(url_map, host="WWW.example.com") == Found(services={"one": 1})
    redirect = {"httpsRedirect": True, "redirectResponseCode": "PERMANENT_REDIRECT"}
    said = ask({"defaultUrlRedirect": redirect}, host="www.example.com", path="/a?b=c")
    assert said.redirect == (308, "https://www.example.com/a?b=c")
    said = ask({"defaultUrlRedirect": {**redirect, "stripQuery": True}}, path="/a?b=c")
    assert said.redirect == (308, "https://192.0.2.1/a")


def test_the_longest_host_rule_takes_a_request() -> None:
    """A whole name before a pattern of its domain, and that before everything."""
    names = ("every", "domain", "name")
    hosts = (["*"], ["*.example.com"], ["www.example.com", "web.example.com"])
    url_map = {
        "hostRules": [
            {"hosts": host, "pathMatcher": name} for host, name in zip(hosts, names, strict=True)
        ],
        "pathMatchers": [{"name": name, "defaultService": f"global/{name}"} for name in names],
    }
    asked = ("example.org", "api.example.com", "web.example.com")
    assert [[*ask(url_map, host=host).services] for host in asked] == [[name] for name in names]


def test_route_rules_go_by_priority() -> None:
    """Whatever their place in the list is; what none takes goes to the matcher's default."""
    url_map = make_map(
        make_rule(9, "last", {"prefixMatch": "/"}), make_rule(2, "a", make_header("a"))
    )
    assert ask(url_map, x_immutable_generation="a").services == {"a": 1}
    assert ask(url_map, x_immutable_generation="b").services == {"last": 1}
    url_map["pathMatchers"][0]["routeRules"].pop(0)
    assert ask(url_map, x_immutable_generation="b") == NOBODY


@pytest.mark.parametrize(
    ("match", "value", "taken"),
    [
        (make_header("a"), "a", True),
        (make_header("a"), "A", False),
        (make_header("a"), None, False),
        (make_header("web-", "prefixMatch"), "web-1", True),
        (make_header("-1", "suffixMatch"), "web-2", False),
        (make_header("web-.", "regexMatch"), "web-1", True),
        (make_header("web-", "regexMatch"), "web-1", False),
        (make_header("a", invertMatch=True), "b", True),
        (make_header("a", invertMatch=True), None, True),
        ({"fullPathMatch": "/"}, None, True),
        ({"fullPathMatch": "/other"}, None, False),
        ({"prefixMatch": "/other"}, None, False),
    ],
)
def test_a_match_rule(match: Mapping[str, Any], value: str | None, *, taken: bool) -> None:
    """It takes a request of which all is true that it says."""
    headers = {} if value is None else {"x_immutable_generation": value}
    found = ask(make_map(make_rule(1, "one", match)), path="/?a=b", **headers)
    assert found == (Found(services={"one": 1}) if taken else NOBODY)


def test_one_match_rule_of_several_is_enough() -> None:
    """All within one have to be true, and one of them all."""
    url_map = make_map(make_rule(1, "one", make_header("a"), make_header("b")))
    assert ask(url_map, x_immutable_generation="b").services == {"one": 1}


def test_weights_decide_how_many_requests_a_service_gets() -> None:
    """One of 0 gets none."""
    weights = {"old": 90, "new": 10, "standby": 0}
    weighted = [{"backendService": name, "weight": weight} for name, weight in weights.items()]
    url_map = make_map(action={"weightedBackendServices": weighted})
    assert ask(url_map).services == weights
    chance = Random(15)  # noqa: S311 - no secret
    got = Counter(pick_service(weights, chance.random) for _ in range(10_000))
    assert got.keys() == {"old", "new"}
    assert got["new"] == pytest.approx(1000, rel=0.15)
    assert pick_service({}, chance.random) == ""


def test_all_services_of_a_map_are_listed() -> None:
    """Of its defaults, its rules and its weights."""
    weighted = [{"backendService": "global/backendServices/new", "weight": 0}]
    url_map = make_map(
        make_rule(1, "one", make_header("a")), action={"weightedBackendServices": weighted}
    )
    assert list_services(url_map) == {"closed", "new", "one"}
    assert list_services({"defaultUrlRedirect": {"httpsRedirect": True}}) == set()


@pytest.mark.parametrize(
    "part",
    [
        {"pathRules": [{"paths": ["/*"], "service": "one"}]},
        {"routeRules": [make_rule(1, "one", {"prefixMatch": "/", "ignoreCase": True})]},
        {"routeRules": [make_rule(1, "one", {"pathTemplateMatch": "/{a}"})]},
        {"routeRules": [make_rule(1, "one", make_header("a", rangeMatch={}))]},
        {"defaultRouteAction": {"urlRewrite": {}}},
        {"defaultRouteAction": {"faultInjectionPolicy": {"delay": {"percentage": 100}}}},
    ],
)
def test_what_is_not_emulated_is_refused(part: Mapping[str, Any]) -> None:
    """It would be believed to work otherwise."""
    url_map = make_map()
    url_map["pathMatchers"][0] |= part
    with pytest.raises(NotImplementedError, match="the emulated balancer does not know"):
        ask(url_map, x_immutable_generation="a")
