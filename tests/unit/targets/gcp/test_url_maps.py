"""URL maps as values: any row of changes leaves a map that Google takes and others' parts alone."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from immutable_servers.targets.gcp.url_maps import (
    ANY_HOST,
    Patch,
    add_route,
    add_service,
    count_hosts,
    find_holder,
    find_matcher,
    find_value,
    read_weights,
    remove_route,
    remove_service,
    render_action,
    set_weights,
)

Map = dict[str, Any]
Change = Callable[[Mapping[str, Any]], Patch]

PLACE = "https://www.googleapis.com/compute/v1/projects/p/global/backendServices"
CLOSED = f"{PLACE}/lb-p-dev-0a1b2c3d-closed"
SERVICES = ("web", "api", "a-b")
HOSTS = (ANY_HOST, "www.example.com", "api.example.com")
BACKENDS = ("web-11111111-aaaaaaaa", "web-22222222-bbbbbbbb", "api-11111111-cccccccc")
STRANGE = {
    "name": "strange",
    "defaultService": f"{PLACE}/strange",
    "pathRules": [{"paths": ["/x"], "service": f"{PLACE}/strange"}],
}
STRANGE_RULE = {"hosts": ["strange.example.com", "else.example.com"], "pathMatcher": "strange"}
MAP: Map = {
    "name": "web-0a1b2c3d",
    "fingerprint": "x",
    "defaultService": CLOSED,
    "hostRules": [STRANGE_RULE],
    "pathMatchers": [STRANGE],
    "tests": [{"host": "strange.example.com", "path": "/x", "service": f"{PLACE}/strange"}],
}

services, backends = st.sampled_from(SERVICES), st.sampled_from(BACKENDS)
links = backends.map(lambda name: f"{PLACE}/{name}")
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda service, host: (
            lambda said: (
                add_service(said, service, host, CLOSED)
                if find_holder(said, host) in ("", service)
                else None
            )
        ),
        services,
        st.sampled_from(HOSTS),
    ),
    st.builds(
        lambda service, host: lambda said: remove_service(said, service, host),
        services,
        st.sampled_from(HOSTS),
    ),
    st.builds(
        lambda service, weights: lambda said: set_weights(said, service, weights, CLOSED),
        services,
        st.dictionaries(links, st.integers(1, 100)),
    ),
    st.builds(
        lambda service, link, value: lambda said: add_route(said, service, link, value),
        services,
        links,
        st.text("0123456789abcdef", min_size=16, max_size=16),
    ),
    st.builds(
        lambda service, backend: lambda said: remove_route(said, service, backend),
        services,
        backends,
    ),
)


def apply(said: Map, patch: Patch) -> Map:
    """Return a map after a patch, as JSON merge patch says: lists whole, and null clears."""
    merged = {**said, **(patch or {})}
    return {key: value for key, value in merged.items() if value is not None}


def play(rows: list[Change], said: Map = MAP) -> Map:
    """Return a map after a row of changes, none of which changes what it is given."""
    for change in rows:
        before = deepcopy(said)
        patch = change(said)
        assert said == before
        said = apply(said, patch)
    return said


@given(st.lists(changes, max_size=12))
def test_any_row_of_changes_leaves_a_map_that_google_takes(rows: list[Change]) -> None:
    """Each matcher has one default and is led to, hosts are led once, priorities differ."""
    said = play(rows)
    matchers = said.get("pathMatchers", [])
    names = [one["name"] for one in matchers]
    hosts = [host for rule in said.get("hostRules", []) for host in rule["hosts"]]
    assert len({*names}) == len(names)
    assert len({*hosts}) == len(hosts)
    assert {rule["pathMatcher"] for rule in said.get("hostRules", [])} == {*names}
    assert all(rule["hosts"] for rule in said.get("hostRules", []))
    for one in matchers:
        action = one.get("defaultRouteAction", {})
        weighted = action.get("weightedBackendServices", [])
        assert ("defaultService" in one) != bool(weighted)
        assert all(0 < part["weight"] <= 1000 for part in weighted)
        order = [rule["priority"] for rule in one.get("routeRules", [])]
        assert order == sorted({*order})
        assert all(0 <= number <= 2**31 - 1 for number in order)


@given(st.lists(changes, max_size=12))
def test_what_is_not_ours_stays(rows: list[Change]) -> None:
    """Somebody else's host rule, matcher and tests are there as they were, and so is the rest."""
    said = play(rows)
    assert find_matcher(said, "strange") == STRANGE
    assert STRANGE_RULE in said["hostRules"]
    lists = ("hostRules", "pathMatchers")
    assert {key: said[key] for key in MAP if key not in lists} == {
        key: MAP[key] for key in MAP if key not in lists
    }


@given(st.lists(changes, max_size=8), changes)
def test_a_change_that_was_made_is_none_any_more(rows: list[Change], change: Change) -> None:
    """Whoever repeats one, since its answer was lost, changes nothing."""
    after = play([*rows, change])
    assert change(after) is None


@given(st.lists(changes, max_size=8), services, st.dictionaries(links, st.integers(1, 100)))
def test_a_pointer_is_read_as_it_was_set(
    rows: list[Change], service: str, weights: dict[str, int]
) -> None:
    """Whatever was there before; other services' pointers and all route rules stay."""
    before = apply(play(rows), add_service(play(rows), service, "new.example.com", CLOSED))
    after = apply(before, set_weights(before, service, weights, CLOSED))
    matcher = find_matcher(after, service)
    assert matcher is not None
    assert read_weights(matcher) == {link.rpartition("/")[2]: weights[link] for link in weights}
    for one in before["pathMatchers"]:
        other = find_matcher(after, one["name"])
        assert other is not None
        assert other.get("routeRules") == one.get("routeRules")
        assert one["name"] == service or other == one


@given(st.lists(changes, max_size=8), services)
def test_a_service_that_comes_and_goes_leaves_nothing(rows: list[Change], service: str) -> None:
    """A host that is added and removed again leaves the map as it was."""
    before = play(rows)
    there = apply(before, add_service(before, service, "new.example.com", CLOSED))
    assert find_holder(there, "new.example.com") == service
    assert count_hosts(there, service) == count_hosts(before, service) + 1
    assert apply(there, remove_service(there, service, "new.example.com")) == before


@given(st.lists(changes, max_size=8), links)
def test_a_route_rule_is_found_and_goes(rows: list[Change], link: str) -> None:
    """The first value of a generation's header stays its value, until the rule is removed."""
    before = play([*rows, lambda said: add_service(said, "web", "new.example.com", CLOSED)])
    backend = link.rpartition("/")[2]
    old = find_matcher(before, "web")
    assert old is not None
    known = find_value(old, backend)
    after = find_matcher(apply(before, add_route(before, "web", link, "web-1-new")), "web")
    assert after is not None
    assert find_value(after, backend) == (known or "web-1-new")
    gone = apply(before, remove_route(before, "web", backend))
    left = find_matcher(gone, "web")
    assert left is not None
    assert find_value(left, backend) == ""
    assert read_weights(left) == read_weights(old)


def test_a_second_route_of_a_service_leads_where_the_first_does() -> None:
    """Its matcher is copied with its weights and route rules: nobody is refused meanwhile."""
    first: Map = {"name": "web-0a1b2c3d"}
    link = f"{PLACE}/{BACKENDS[0]}"
    rows: list[Change] = [
        lambda said: add_service(said, "web", ANY_HOST, CLOSED),
        lambda said: add_route(said, "web", link, "web-1-x"),
        lambda said: set_weights(said, "web", {link: 100}, CLOSED),
    ]
    like = find_matcher(play(rows, first), "web")
    said = apply(MAP, add_service(MAP, "web", "www.example.com", CLOSED, like))
    assert find_matcher(said, "web") == like
    assert find_holder(said, "www.example.com") == "web"


def test_a_default_by_hand_is_read() -> None:
    """A service that somebody set as the default has all; whom all requests are refused, none."""
    assert read_weights({"defaultService": f"{PLACE}/x"}) == {"x": 1}
    assert read_weights({"defaultRouteAction": render_action({}, CLOSED)}) == {}
    assert read_weights({"defaultUrlRedirect": {"hostRedirect": "x"}}) == {}


def test_a_default_by_hand_goes_with_a_move() -> None:
    """A pointer says one thing: whatever somebody set in its place is replaced."""
    for by_hand in (
        {"defaultService": f"{PLACE}/x", "defaultRouteAction": {"timeout": {"seconds": "5"}}},
        {"defaultUrlRedirect": {"hostRedirect": "x"}},
    ):
        said = {"pathMatchers": [{"name": "web", "description": "kept", **by_hand}]}
        moved = find_matcher(apply(said, set_weights(said, "web", {"a/b": 100}, CLOSED)), "web")
        weighted = {"weightedBackendServices": [{"backendService": "a/b", "weight": 100}]}
        assert moved == {"name": "web", "description": "kept", "defaultRouteAction": weighted}
