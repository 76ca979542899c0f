"""The stand-in for the `digitalocean` plugin, on an account in memory: no engine, no emulator."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest

from harness.checkout import ROOT

CLOUDS = ROOT / "tests/clouds"
PATHS = (str(CLOUDS / "stand_in"), str(CLOUDS / "digitalocean/stand_in"))
DROPLET = "digitalocean:index/droplet:Droplet"
BALANCER = "digitalocean:index/loadBalancer:LoadBalancer"
WISH = {"name": "web", "image": "7", "size": "small", "region": "fra1", "tags": ["gen:a"]}
RULE = {"entryProtocol": "http", "entryPort": 80, "targetProtocol": "http", "targetPort": 8000}


class Account:
    """Droplets and balancers of an account, and the calls that it met."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.things: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, Any]] = []

    def answer(self, verb: str, path: str, body: Any) -> dict[str, Any]:  # noqa: ANN401 - any body
        """Do what a call asks for."""
        self.calls.append((verb, path, body))
        collection, _, rest = path.partition("/")
        if collection == "tags":
            self._tag(verb, rest, body)
            return {}
        root = collection.removesuffix("s")
        if verb == "POST":
            made = {**make_thing(collection, body), "id": len(self.things) + 1}
            self.things[f"{collection}/{made['id']}"] = made
            return {root: made}
        if verb == "PUT":
            self.things[path] = {**make_thing(collection, body), "id": rest}
        return {root: self.things[path]}

    def _tag(self, verb: str, rest: str, body: Mapping[str, Any]) -> None:
        if not rest:
            return
        (one,) = body["resources"]
        tags = self.things[f"droplets/{one['resource_id']}"]["tags"]
        tag = rest.partition("/")[0].replace("%3A", ":")
        tags.remove(tag) if verb == "DELETE" else tags.append(tag)

    def list_writes(self) -> list[tuple[str, str]]:
        """Return the calls that change something, and forget all calls."""
        found = [(verb, path) for verb, path, _ in self.calls if verb != "GET"]
        self.calls.clear()
        return found


def make_thing(collection: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a thing as the API has it: what the body leaves out is a default."""
    if collection == "load_balancers":
        return {**body, "region": {"slug": "fra1"}, "status": "active", "ip": "192.0.2.1"}
    return {
        **body,
        "region": {"slug": body["region"]},
        "size_slug": body["size"],
        "image": {"id": body["image"]},
        "features": [],
        "networks": {"v4": []},
        "status": "active",
        "locked": False,
        "tags": [*body.get("tags", ())],
    }


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """Return an empty account that the stand-in's calls go to."""
    for path in PATHS:
        monkeypatch.syspath_prepend(path)
    before = {*sys.modules}
    do_wire = import_module("do_wire")
    found = Account()
    answer = lambda _, verb, path, body: found.answer(verb, path, body)  # noqa: E731 - a method
    monkeypatch.setattr(do_wire.Wire, "_ask", answer)
    yield found
    for name in {*sys.modules} - before:
        if name.startswith(("do_", "shared_")):
            del sys.modules[name]


def make_kind(token: str) -> Any:  # noqa: ANN401 - of a module that is found in the test
    """Return a resource type on the account."""
    plugin = import_module("do_plugin").DoPlugin()
    return plugin.find_kind(f"urn:pulumi:dev::test::{token}::one")


def refresh(kind: Any, identity: str, inputs: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Refresh a resource as the engine does, and return its inputs; the state is the kind's."""
    found = kind.describe(identity)
    fresh: dict[str, Any] = kind.refresh_inputs(inputs, found)
    kind.state = kind.render_state(identity, fresh, found)
    return fresh


def test_a_tag_from_outside_takes_the_place_of_ours_at_a_refresh(account: Account) -> None:
    """With the star alone the next run takes the generation's tag off; `tags` by name keeps it."""
    kind = make_kind(DROPLET)
    identity = kind.create(WISH)
    account.things[f"droplets/{identity}"]["tags"].append("live")
    fresh = refresh(kind, identity, WISH)
    assert fresh["tags"] == ["live"]
    assert kind.find_changed(fresh, fresh) == ["tags"]
    account.calls.clear()
    kind.update(identity, fresh, fresh)
    assert account.list_writes() == [("DELETE", "tags/gen%3Aa/resources")]
    kind.ignored = ["*", "tags"]
    kind.update(identity, fresh, fresh)
    assert account.list_writes() == []


def test_a_refresh_of_what_nobody_changed_changes_nothing(account: Account) -> None:
    """Also with tags in another order, and in another spelling of the first one that was made."""
    kind = make_kind(DROPLET)
    wish = {**WISH, "tags": ["one", "two"], "userData": "secret"}
    identity = kind.create(wish)
    account.things[f"droplets/{identity}"]["tags"] = ["Two", "one"]
    fresh = refresh(kind, identity, wish)
    assert fresh == wish
    assert kind.find_changed(fresh, wish) == []
    assert "secret" not in str(kind.state)


def test_an_update_of_a_balancer_is_a_put_of_everything(account: Account) -> None:
    """Droplets that were added from outside are gone with it; a tag is in each, and stays."""
    kind = make_kind(BALANCER)
    wish = {"name": "web", "region": "fra1", "forwardingRules": [RULE]}
    identity = kind.create(wish)
    kind.state = kind.render_state(identity, wish, kind.describe(identity))
    account.things[f"load_balancers/{identity}"]["droplet_ids"] = [1, 2]
    kind.ignored = ["dropletIds"]
    kind.update(identity, wish, {**wish, "forwardingRules": [RULE, {**RULE, "entryPort": 81}]})
    assert "droplet_ids" not in account.things[f"load_balancers/{identity}"]
    tagged = {**wish, "dropletTag": "live"}
    kind.update(identity, wish, tagged)
    assert account.things[f"load_balancers/{identity}"]["tag"] == "live"


def test_a_property_or_a_part_that_is_not_carried_out_is_refused(account: Account) -> None:
    """Nothing is left out without a word."""
    kind = make_kind(BALANCER)
    assert kind.find_unknown({"name": "web", "glbSettings": {}}) == ["glbSettings"]
    rule = {**RULE, "certificateId": "an-id"}
    with pytest.raises(NotImplementedError, match="has no certificateId"):
        kind.create({"name": "web", "region": "fra1", "forwardingRules": [rule]})
    assert account.calls == []


@pytest.mark.parametrize(("now", "replaced"), [(False, True), (True, False)])
@pytest.mark.usefixtures("account")
def test_ipv6_is_turned_on_in_place_and_off_by_replacement(*, now: bool, replaced: bool) -> None:
    """As upstream does."""
    kind = make_kind(DROPLET)
    kind.state = {**WISH, "ipv6": not now}
    assert ("ipv6" in kind.find_replaced(WISH, {**WISH, "ipv6": now})) is replaced
