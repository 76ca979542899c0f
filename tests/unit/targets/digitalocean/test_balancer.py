"""Moves of traffic, by the real pydo, on an API that has tags, droplets and one balancer.

The balancer answers requests, too: its pool follows the tag some looks late.
"""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from immutable_servers.contract.front import HEADER
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.errors import StoppedError, TrafficError
from immutable_servers.system import stopping
from immutable_servers.targets.cloud.pool import Pace
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.clients import TOKENS, URL, find_client
from immutable_servers.targets.digitalocean.names import (
    list_tags,
    make_name,
    tag_live,
    tag_reserved,
)
from immutable_servers.targets.digitalocean.settings import DoSettings

WEB = Scope("shop", "dev", "web")
OLD, NEW = replace(WEB, generation="11111111"), replace(WEB, generation="22222222")
TO_OLD, TO_NEW = {OLD.generation: 100}, {NEW.generation: 100}
ROUTE = Route("web", 80)
PACE = Pace(follow_poll=0.01, ask_poll=0.01, answers_within=0.2)
"""It does not wait long."""


@dataclass
class Account:
    """What there is, and what was changed.

    Attributes:
        late: Looks at the balancer until its pool has followed the tag.
        pools: Each pool that the balancer had, as sets of droplets.
        sick: Droplets that answer 500.
        unhealthy: Droplets that the balancer sends nothing, since they fail its checks.
        sick_alone: Droplets that do so once no other is in the pool.
        sick_beside: Droplets that do so once others than themselves and each other are in it.
        port: Where droplets answer themselves, too.
        reserved: The reserved address `192.0.2.1` of `web`: who has it; None without one.
    """

    droplets: list[dict[str, Any]] = field(default_factory=list)
    balancers: list[dict[str, Any]] = field(default_factory=list)
    late: int = 1
    behind: int = 0
    pool: list[int] = field(default_factory=list)
    pools: list[set[int]] = field(default_factory=list)
    sick: set[int] = field(default_factory=set)
    unhealthy: set[int] = field(default_factory=set)
    sick_alone: set[int] = field(default_factory=set)
    sick_beside: set[int] = field(default_factory=set)
    port: int = 0
    reserved: list[dict[str, Any]] | None = None
    asked: int = 0
    changes: list[str] = field(default_factory=list)

    def launch(self, scope: Scope, *ids: int) -> None:
        """Add droplets of a generation."""
        card = {"type": "public", "ip_address": "127.0.0.1"}
        record = {"launch": Launch("small", self.port, f"/direct/{scope.generation}").to_plain()}
        for one in ids:
            self.droplets.append(
                {
                    "id": one,
                    "name": f"{scope.service}-{scope.generation}-{one}",
                    "status": "active",
                    "tags": list_tags(scope, record),
                    "networks": {"v4": [card]},
                }
            )

    def find_tagged(self, tag: str) -> list[dict[str, Any]]:
        """Return the droplets with a tag."""
        return [one for one in self.droplets if tag in one["tags"]]

    def look(self) -> None:
        """Count a look at the balancer, whose pool follows in the end."""
        tagged = self.find_tagged(tag_live(WEB))
        wanted = [one["id"] for one in tagged if one["status"] == "active"]
        if sorted(wanted) == sorted(self.pool):
            self.behind = 0
            return
        self.behind += 1
        if self.behind > self.late:
            self.pool, self.behind = wanted, 0
            self.pools.append({*wanted})

    def serve(self) -> tuple[int, str]:
        """Return the status of the next request's answer, and the generation that it names."""
        pool = [one for one in self.pool if one not in self.unhealthy]
        if not pool:
            return 503, ""
        self.asked += 1
        which = pool[self.asked % len(pool)]
        alone = {*self.pool} <= self.sick_alone
        beside = which in self.sick_beside and not {*self.pool} <= self.sick_beside
        name = next(one["name"] for one in self.droplets if one["id"] == which)
        return 500 if which in self.sick or alone or beside else 200, name.rpartition("-")[0]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:  # noqa: ANN401 - JSON
        """Return what the API says to a request."""
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        match method, unquote(parts.path).removeprefix("/v2/").split("/"):
            case "GET", ["droplets"]:
                said: tuple[int, Any] = (200, {"droplets": self.find_tagged(query["tag_name"][0])})
            case "GET", ["load_balancers"]:
                said = (200, {"load_balancers": self._show()})
            case "GET", ["load_balancers", "lb-1"]:
                self.look()
                said = (200, {"load_balancer": self._show()[0]})
            case "GET", ["tags"]:
                said = (200, {"tags": self._list_tags()})
            case "GET", ["reserved_ips"]:
                said = (200, {"reserved_ips": [self._show_reserved()]})
            case "POST", ["reserved_ips", "192.0.2.1", "actions"]:
                self._assign(body)
                said = (201, {"action": {"id": 9}})
            case "GET", ["actions", "9"]:
                about = {"type": "assign", "resource_id": 1}
                said = (200, {"action": {"id": 9, "status": "completed", **about}})
            case "POST", ["tags"]:
                said = (201, {"tag": body})
            case (("POST" | "DELETE"), ["tags", tag, "resources"]):
                self._change(method, tag, [int(one["resource_id"]) for one in body["resources"]])
                said = (204, None)
            case _:
                raise AssertionError((method, path))
        return said

    def _assign(self, body: Any) -> None:  # noqa: ANN401 - JSON
        self.reserved = [one for one in self.droplets if one["id"] == body.get("droplet_id")]
        self.changes.append(f"{body['type']} {[one['id'] for one in self.reserved]}")

    def _show(self) -> list[dict[str, Any]]:
        return [{**one, "droplet_ids": self.pool} for one in self.balancers]

    def _list_tags(self) -> list[dict[str, Any]]:
        tags = {tag for one in self.droplets for tag in one["tags"]}
        tags |= set() if self.reserved is None else {tag_reserved(WEB, "192.0.2.1")}
        return [{"name": tag} for tag in sorted(tags)]

    def _show_reserved(self) -> dict[str, Any]:
        assert self.reserved is not None, "a service without one needs no right to ask"
        return {"ip": "192.0.2.1", "droplet": next(iter(self.reserved), None)}

    def _change(self, method: str, tag: str, ids: Sequence[int]) -> None:
        self.changes.append(f"{'in' if method == 'POST' else 'out'} {sorted(ids)}")
        for one in self.droplets:
            if one["id"] in ids and method == "POST" and tag not in one["tags"]:
                one["tags"].append(tag)
            elif one["id"] in ids and method == "DELETE" and tag in one["tags"]:
                one["tags"].remove(tag)


@pytest.fixture
def account() -> Iterator[Account]:
    """Yield an account with a balancer for `web`, whose clients come to the API's own port."""
    account, lock = Account(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name = ""
            with lock:
                if self.path.startswith("/direct/"):
                    status, said = 500 if account.sick else 200, None
                elif self.path == "/healthz":
                    (status, name), said = account.serve(), None
                else:
                    asked = json.loads(body or "null")
                    status, said = account.answer(self.command, self.path, asked)
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if name:
                self.send_header(HEADER, name)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the base's names

        def log_message(self, *_words: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    account.port = server.server_port
    rule = {"entry_protocol": "http", "entry_port": server.server_port}
    check = {"path": "/healthz", "check_interval_seconds": 0.05, "healthy_threshold": 2}
    account.balancers = [
        {
            "id": "lb-1",
            "name": make_name(WEB),
            "ip": "127.0.0.1",
            "forwarding_rules": [rule],
            "health_check": {**check, "response_timeout_seconds": 0.05},
        }
    ]
    variables = {URL: f"http://127.0.0.1:{server.server_port}", TOKENS[0]: "secret"}
    with patch.dict(os.environ, variables):
        find_client.cache_clear()
        yield account
        find_client.cache_clear()
    server.shutdown()
    server.server_close()


def make_balancer(**settings: Any) -> DoBalancer:  # noqa: ANN401 - of DoSettings
    """Return the role, which does not wait long."""
    balancer = DoBalancer(Api(DoSettings(region="fra1", attempts=1, **settings)))
    balancer.settle_poll, balancer.pace = 0.01, PACE
    return balancer


def serve_old(account: Account) -> DoBalancer:
    """Have the old generation serve, and the new one beside it; forget what was done."""
    account.launch(OLD, 1, 2)
    account.launch(NEW, 3, 4)
    balancer = make_balancer()
    balancer.set_traffic(WEB, TO_OLD)
    account.changes.clear()
    account.pools.clear()
    return balancer


def test_new_servers_join_before_the_old_ones_leave(account: Account) -> None:
    """At no time is the pool empty, though it follows late; in the end the new ones are alone."""
    account.late = 3
    balancer = serve_old(account)
    balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == ["in [3, 4]", "out [1, 2]"]
    assert account.pools == [{1, 2, 3, 4}, {3, 4}]
    assert balancer.find_weights(WEB) == TO_NEW
    assert account.asked > 2


def test_a_bad_answer_with_both_takes_the_new_ones_out(account: Account) -> None:
    """The old ones never left."""
    balancer = serve_old(account)
    account.sick = {3, 4}
    with pytest.raises(TrafficError, match="with old and new servers") as caught:
        balancer.set_traffic(WEB, TO_NEW)
    assert caught.value.facts == ("500",)
    assert account.changes == ["in [3, 4]", "out [3, 4]"]
    assert balancer.find_weights(WEB) == TO_OLD


def test_a_bad_answer_of_the_new_ones_alone_brings_the_old_ones_back(account: Account) -> None:
    """The new ones leave only when the pool holds the old ones again."""
    balancer = serve_old(account)
    account.sick_alone = {3, 4}
    with pytest.raises(TrafficError, match="with new servers alone"):
        balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == ["in [3, 4]", "out [1, 2]", "in [1, 2]", "out [3, 4]"]
    assert account.pools == [{1, 2, 3, 4}, {3, 4}, {1, 2, 3, 4}]
    assert balancer.find_weights(WEB) == TO_OLD


def test_bad_answers_of_the_old_ones_hold_up_no_move(account: Account) -> None:
    """They were there before it, so they say nothing against the new ones."""
    balancer = serve_old(account)
    account.sick = {1, 2}
    balancer.set_traffic(WEB, TO_NEW)
    assert balancer.find_weights(WEB) == TO_NEW


def test_a_bad_answer_of_an_old_one_amid_a_move_gives_nothing_back(account: Account) -> None:
    """It names the generation that traffic leaves, so it says nothing against the new one."""
    balancer = serve_old(account)
    account.sick_beside = {1, 2}
    balancer.set_traffic(WEB, TO_NEW)
    assert account.pools == [{1, 2, 3, 4}, {3, 4}]


def test_new_ones_that_fail_the_balancers_checks_get_no_traffic(account: Account) -> None:
    """Nobody asks a sealed one: were the old ones to leave, nobody would be sent anything."""
    balancer = serve_old(account)
    account.unhealthy = {3, 4}
    with pytest.raises(TrafficError, match="given back") as caught:
        balancer.set_traffic(WEB, TO_NEW)
    assert f"{NEW.service}-{NEW.generation} gave no answer" in caught.value.facts[0]
    assert account.changes == ["in [3, 4]", "out [3, 4]"]
    assert balancer.find_weights(WEB) == TO_OLD


def test_a_droplet_that_stopped_with_the_tag_holds_up_no_move(account: Account) -> None:
    """Whether a pool lists it nobody knows, so nobody waits for it; traffic goes to the others."""
    balancer = serve_old(account)
    for one in (3, 4):
        account.droplets[one - 1]["tags"].append(tag_live(WEB))
    account.droplets[2]["status"] = "off"
    balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == ["out [1, 2]"]


def test_a_generation_that_stopped_gets_no_traffic_though_it_has_the_tag(account: Account) -> None:
    """A killed move gave it the tag; the old ones would leave, and nobody would serve."""
    balancer = serve_old(account)
    for one in (3, 4):
        account.droplets[one - 1]["tags"].append(tag_live(WEB))
        account.droplets[one - 1]["status"] = "off"
    with pytest.raises(TrafficError, match="no healthy server"):
        balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == []


def test_a_pool_that_does_not_follow_costs_nobody_the_traffic(account: Account) -> None:
    """The new ones lose the tag again, and the error says what the pool lacks."""
    balancer = serve_old(account)
    account.late, balancer.pace = 10_000, replace(PACE, follows_within=0.05)
    with pytest.raises(TrafficError, match="does not follow in time") as caught:
        balancer.set_traffic(WEB, TO_NEW)
    assert "does not hold servers 3, 4; it has servers 1, 2" in caught.value.facts[0]
    assert account.changes == ["in [3, 4]", "out [3, 4]"]
    assert balancer.find_weights(WEB) == TO_OLD


def test_a_stop_amid_a_move_leaves_all_serving(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody leaves a pool that was not seen with the new ones; the next run moves on."""
    balancer = serve_old(account)
    stop = threading.Event()
    monkeypatch.setattr(stopping, "STOP", stop)
    tag_droplets = Api.tag_droplets

    def tag_and_stop(api: Api, *words: Any) -> None:  # noqa: ANN401 - the method's own
        tag_droplets(api, *words)
        account.late = 10_000
        stop.set()

    monkeypatch.setattr(Api, "tag_droplets", tag_and_stop)
    with pytest.raises(StoppedError):
        balancer.set_traffic(WEB, TO_NEW)
    monkeypatch.setattr(Api, "tag_droplets", tag_droplets)
    stop.clear()
    assert account.changes == ["in [3, 4]"]
    assert account.pools == [], "the wait went on after the stop"
    assert balancer.find_weights(WEB) == {OLD.generation: 50, NEW.generation: 50}
    account.late = 1
    balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == ["in [3, 4]", "out [1, 2]"]
    assert balancer.find_weights(WEB) == TO_NEW


def test_a_run_that_stops_gives_traffic_back(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks nothing any more, and ends what it begins: old and new are never out together."""
    balancer = serve_old(account)
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(stopping, "STOP", stop)
    balancer.set_traffic(WEB, TO_NEW)
    assert account.pools == [{1, 2, 3, 4}, {3, 4}]
    assert account.asked == 0


def test_nobody_and_the_first_generation(account: Account) -> None:
    """A first generation joins an empty pool; all leave when traffic goes to nobody."""
    account.launch(OLD, 1)
    balancer = make_balancer()
    assert balancer.find_weights(WEB) == {}
    balancer.set_traffic(WEB, TO_OLD)
    balancer.set_traffic(WEB, {})
    assert account.pools == [{1}, set()]
    assert balancer.find_weights(WEB) == {}


def test_a_droplet_that_does_not_run_gets_no_traffic(account: Account) -> None:
    """A generation without one that runs, or without any, is refused before anything changes."""
    balancer = serve_old(account)
    with pytest.raises(TrafficError, match="missing or empty"):
        balancer.set_traffic(WEB, {"33333333": 100})
    account.droplets[2]["status"] = "new"
    balancer.set_traffic(WEB, TO_NEW)
    assert account.changes == ["in [4]", "out [1, 2]"]
    account.droplets[0]["status"] = account.droplets[1]["status"] = "off"
    with pytest.raises(TrafficError, match="no healthy server") as caught:
        balancer.set_traffic(WEB, TO_OLD)
    assert "it is off" in caught.value.facts[0]


def test_members_are_up_as_the_pool_has_them(account: Account) -> None:
    """One with the tag is up once the pool has it; without the tag it would be."""
    balancer = serve_old(account)
    account.launch(OLD, 5)
    account.droplets[-1]["tags"].append(tag_live(WEB))
    found = {name[-1]: one.up for name, one in balancer.find_members(OLD).items()}
    assert found == {"1": True, "2": True, "5": False}
    assert all("no pool" in one.detail for one in balancer.find_members(NEW).values())


def test_a_stranger_with_the_live_tag_is_an_error(account: Account) -> None:
    """Somebody who tags a droplet by hand is neither taken for nobody, nor for ours."""
    balancer = serve_old(account)
    stranger = {"id": 9, "name": "mine", "status": "active", "tags": [tag_live(WEB)]}
    account.droplets.append(stranger)
    with pytest.raises(TrafficError, match="not ours") as caught:
        balancer.find_weights(WEB)
    assert caught.value.facts == ("mine has 1 of 3 parts of the traffic",)


def test_shares_are_refused(account: Account) -> None:
    """A balancer has one pool, and cannot weigh; nothing is changed."""
    balancer = serve_old(account)
    with pytest.raises(TrafficError, match="cannot be shared"):
        balancer.set_traffic(WEB, {OLD.generation: 90, NEW.generation: 10})
    assert account.changes == []


def test_a_service_without_balancer_has_no_pointer(account: Account) -> None:
    """The error says so, and no droplet gets a tag."""
    balancer = serve_old(account)
    account.balancers.clear()
    with pytest.raises(TrafficError, match="no healthy server") as caught:
        balancer.set_traffic(WEB, TO_NEW)
    assert "its service has no load balancer" in caught.value.facts[0]
    with pytest.raises(TrafficError, match="no pointer for it"):
        balancer.set_traffic(WEB, {})
    assert account.changes == []


def test_each_service_has_an_address_of_its_own(account: Account) -> None:
    """It is its balancer's, also when the stack asks; a host of the user's leads there."""
    del account
    balancer, stack = make_balancer(), WEB.of_stack
    assert balancer.find_address(ROUTE, stack) == "http://127.0.0.1"
    assert balancer.find_address(Route("api", 80), stack) == "http://not-yet-there"
    by_host = Route("web", 0, "www.example.com")
    assert balancer.find_address(by_host, WEB) == "http://www.example.com"
    assert balancer.find_front(by_host, WEB) == "http://127.0.0.1"
    assert make_balancer(certificate="www").find_front(by_host, WEB) == "https://127.0.0.1"


def test_a_reserved_ip_moves_in_one_action(account: Account) -> None:
    """Who has it has all traffic; asked again it stays, and nobody has it at the end."""
    account.launch(OLD, 1)
    account.launch(NEW, 3)
    account.balancers, account.reserved = [], []
    balancer = make_balancer()
    assert balancer.find_weights(WEB) == {}
    for weights in (TO_OLD, TO_NEW, TO_NEW, {}):
        balancer.set_traffic(WEB, weights)
        assert balancer.find_weights(WEB) == weights
    assert account.changes == ["assign [1]", "assign [3]", "unassign []"]
    (member,) = balancer.find_members(OLD).values()
    assert (member.up, member.detail) == (True, "it runs, and has no reserved IP yet")
    account.droplets[0]["status"] = "off"
    with pytest.raises(TrafficError, match="no healthy server") as caught:
        balancer.set_traffic(WEB, TO_OLD)
    assert "it is off" in caught.value.facts[0]
    account.sick = {3}
    with pytest.raises(TrafficError, match="generation 22222222 answers badly") as caught:
        balancer.set_traffic(WEB, TO_NEW)
    assert caught.value.facts == (f"{NEW.service}-{NEW.generation}-3: 500",)
    assert len(account.changes) == 3


def test_a_stranger_with_the_reserved_ip_is_an_error(account: Account) -> None:
    """Somebody who assigns it by hand is not taken for nobody."""
    account.balancers, account.reserved = [], [{"id": 9, "name": "mine", "tags": []}]
    with pytest.raises(TrafficError, match="not ours"):
        make_balancer().find_weights(WEB)


def test_a_reserved_ip_is_the_service_s_address(account: Account) -> None:
    """The server answers itself: on its own port, and by HTTP whatever balancers do."""
    account.balancers, account.reserved = [], []
    balancer = make_balancer(certificate="www")
    for port, end in ((8000, ":8000"), (80, "")):
        route = Route("web", port, reserved_ip=True)
        assert balancer.find_address(route, WEB) == f"http://192.0.2.1{end}"
        assert balancer.find_front(route, WEB) == f"http://192.0.2.1{end}"
    account.reserved = None
    assert "not-yet-there" in balancer.find_address(route, WEB)
