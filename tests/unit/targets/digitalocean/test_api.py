"""Calls, pages, refusals and actions of DigitalOcean's API, by the real pydo."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

import pytest

from immutable_servers.errors import LaunchError, SettingsError, SetupError
from immutable_servers.targets.digitalocean import DoTarget
from immutable_servers.targets.digitalocean.api import BUSY, Api
from immutable_servers.targets.digitalocean.clients import TOKENS, URL, find_client
from immutable_servers.targets.digitalocean.settings import DoSettings

Cloud = tuple[list[tuple[int, Any]], list[tuple[str, str, Any]]]
"""Answers to come, and requests so far."""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Yield an API on loopback that gives the answers in order."""
    answers: list[tuple[int, Any]] = []
    asked: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            assert self.headers["Authorization"] == "Bearer secret"
            asked.append((self.command, self.path, json.loads(body or "null")))
            status, said = answers.pop(0)
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the base's names

        def log_message(self, *_words: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    variables = {URL: f"http://127.0.0.1:{server.server_port}", TOKENS[0]: "secret"}
    with patch.dict(os.environ, variables):
        find_client.cache_clear()
        yield answers, asked
        find_client.cache_clear()
    server.shutdown()
    server.server_close()


def make_api(attempts: int = 1) -> Api:
    """Return what asks, with so many tries of a call."""
    return Api(DoSettings.model_validate({"region": "fra1", "attempts": attempts}))


def refuse(code: str, said: str) -> dict[str, str]:
    """Return the body of a refusal."""
    return {"id": code, "message": said, "request_id": "r"}


def test_all_pages_are_listed(cloud: Cloud) -> None:
    """By the number in the link, not by its host, which is the real one."""
    answers, asked = cloud
    link = "https://api.digitalocean.com/v2/droplets?page=2&per_page=200"
    answers += [
        (200, {"droplets": [{"id": 1}], "links": {"pages": {"next": link}}, "meta": {"total": 2}}),
        (200, {"droplets": [{"id": 2}], "links": {}, "meta": {"total": 2}}),
    ]
    assert make_api().list("droplets", tag_name="t") == [{"id": 1}, {"id": 2}]
    assert "page=2" in asked[1][1]
    assert all("tag_name=t" in path for _, path, _ in asked)


def test_a_list_that_changes_between_pages_is_asked_for_again(cloud: Cloud) -> None:
    """What was first on the second page had moved to the first one meanwhile."""
    answers, asked = cloud
    links = {"pages": {"next": "https://api.digitalocean.com/v2/tags?page=2&per_page=200"}}
    answers += [
        (200, {"tags": [{"name": "a"}], "links": links, "meta": {"total": 3}}),
        (200, {"tags": [{"name": "c"}], "links": {}, "meta": {"total": 2}}),
        (200, {"tags": [{"name": "b"}], "links": links, "meta": {"total": 2}}),
        (200, {"tags": [{"name": "c"}], "links": {}, "meta": {"total": 2}}),
    ]
    assert make_api().list("tags") == [{"name": "b"}, {"name": "c"}]
    assert len(asked) == 4


def test_waits_share_a_listing(cloud: Cloud) -> None:
    """Two looks within seconds are one call."""
    answers, asked = cloud
    answers += [(200, {"droplets": [{"id": 1}], "links": {}})]
    api = make_api()
    assert api.list_lately("droplets", tag_name="t") == api.list_lately("droplets", tag_name="t")
    assert len(asked) == 1


def test_a_token_is_a_team_s_or_a_user_s(cloud: Cloud) -> None:
    """A stack's place says whose droplets it looks at; without asking it says the region alone."""
    answers, _ = cloud
    user = {"uuid": "of-a-user"}
    answers += [(200, {"account": {**user, "team": {"uuid": "of-a-team"}}})]
    answers += [(200, {"account": user})]
    asked = [DoTarget({"region": "fra1"}).find_location().words for _ in range(2)]
    assert [words["account"] for words in asked] == ["of-a-team", "of-a-user"]
    assert DoTarget({"region": "fra1"}).find_location(ask=False).words == {"region": "fra1"}


@pytest.mark.parametrize("size", ["small", "s-1vcpu-2gb"])
def test_a_size_is_a_droplet_s(size: str) -> None:
    """Our words stand for sizes of DigitalOcean, whose own are taken as they are."""
    assert DoTarget({"region": "fra1"}).resolve_size(size) == {"size": "s-1vcpu-2gb"}


def test_an_env_that_tags_cannot_carry_is_refused() -> None:
    """A generation's record lies in its droplets' tags, which are fewer than user data is long."""
    target = DoTarget({"region": "fra1"})
    target.check_env({"GREETING": "hello"})
    with pytest.raises(SettingsError, match="record"):
        target.check_env({"TABLE": "".join(f"{number:x}" for number in range(2000))})


def test_what_is_missing_is_none(cloud: Cloud) -> None:
    """A 404 is an answer of pydo, as if it were the thing."""
    answers, _ = cloud
    answers += [(404, refuse("not_found", "no")), (404, refuse("not_found", "no")), (204, None)]
    api = make_api()
    assert api.find("droplets", droplet_id=1) is None
    api.delete("droplets", droplet_id=1)
    api.delete("droplets", droplet_id=2)


def test_a_busy_balancer_is_asked_again(cloud: Cloud) -> None:
    """Its refusal has the id of a missing scope, which is none that passes."""
    answers, asked = cloud
    busy = "Load Balancer can't be updated while it processes previous actions"
    answers += [(403, refuse("forbidden", busy)), (204, None)]
    make_api().delete("load_balancers", lb_id="a")
    assert len(asked) == 2
    answers += [(403, refuse("forbidden", "You are not authorized to perform this operation"))]
    with pytest.raises(SetupError, match="permission is missing: load_balancer:delete"):
        make_api().delete("load_balancers", lb_id="a")


@pytest.mark.parametrize(
    ("status", "code", "said", "kind", "words"),
    [
        (401, "unauthorized", "Unable to authenticate you", SetupError, "does not accept the tok"),
        (422, "unprocessable_entity", "will exceed your droplet limit", LaunchError, "limit is"),
        (422, "unprocessable_entity", "Size is not available in this region", SettingsError, "fra"),
        (422, "unprocessable_entity", "name is invalid", LaunchError, "DigitalOcean refused"),
        (429, "too_many_requests", "API Rate limit exceeded.", LaunchError, "slows down"),
        (500, "server_error", "Unexpected server-side error", LaunchError, "slows down"),
    ],
)
def test_refusals_say_what_to_do(
    cloud: Cloud, status: int, code: str, said: str, kind: type[Exception], words: str
) -> None:
    """Each in a sentence, with DigitalOcean's own words and without the token."""
    cloud[0].append((status, refuse(code, said)))
    with pytest.raises(kind, match=words) as caught:
        make_api().call("droplets.create", body={"name": "web"})
    assert said in str(vars(caught.value))
    assert "secret" not in str(vars(caught.value))


def test_a_change_is_made_again_only_when_it_was_slowed_down(cloud: Cloud) -> None:
    """A droplet whose answer was lost may be there: two would be."""
    answers, asked = cloud
    answers += [(429, refuse("too_many_requests", "slow")), (202, {"droplet": {"id": 1}})]
    made = make_api(3).call("droplets.create", body={"name": "web"})
    assert made == {"droplet": {"id": 1}}
    assert len(asked) == 2
    answers += [(500, refuse("server_error", "oh"))]
    with pytest.raises(LaunchError):
        make_api(3).call("droplets.create", body={"name": "web"})
    assert len(asked) == 3


def test_an_action_is_waited_for(cloud: Cloud) -> None:
    """One that errored fails at once."""
    answers, _ = cloud
    action = {"id": 7, "type": "snapshot", "resource_id": 1}
    answers += [(200, {"action": {**action, "status": one}}) for one in ("completed", "errored")]
    assert make_api().wait_action(7)["status"] == "completed"
    with pytest.raises(LaunchError, match="did not complete an action: action 7"):
        make_api().wait_action(7)


def test_droplets_are_tagged_and_untagged(cloud: Cloud) -> None:
    """The tag is made first; taking off one that is gone is no error."""
    answers, asked = cloud
    answers += [(201, {"tag": {"name": "t"}}), (204, None), (404, refuse("not_found", "no"))]
    make_api().tag_droplets("t", [1, 2])
    make_api().untag_droplets("t", [1])
    assert [one[0] for one in asked] == ["POST", "POST", "DELETE"]
    assert asked[1][2]["resources"][1] == {"resource_id": "2", "resource_type": "droplet"}


def test_a_token_is_never_sent_in_the_clear() -> None:
    """Plain http is for loopback; and without a token the error says which variable to set."""
    assert "conflict" in BUSY
    for variables, said in (
        ({TOKENS[0]: "secret", URL: "http://example.com"}, "without encryption"),
        (dict.fromkeys([*TOKENS, URL], ""), "There is no DigitalOcean token"),
    ):
        find_client.cache_clear()
        with patch.dict(os.environ, variables), pytest.raises(SetupError, match=said):
            make_api().list("droplets")
    find_client.cache_clear()
