"""The emulated account: what its API answers, holds against the document, and can do wrong."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from clouds.digitalocean.emulation import parts
from clouds.digitalocean.emulation.calls import OPERATIONS
from clouds.digitalocean.emulation.documents import VARIABLE, list_scopes, read_document
from clouds.digitalocean.emulation.places import DEBIAN
from clouds.digitalocean.emulation.refusals import BUSY, NO_SCOPE
from harness.digitalocean.cloud import POLITE, REGION, Cloud, start_cloud
from harness.local_stack import wait_until
from immutable_servers.targets.digitalocean.api import BUSY as AGAIN
from immutable_servers.targets.digitalocean.faults import DoError

SECONDS = 20
"""How long what was brought about may take to be seen."""
STRANGER = "immutable-servers/1"
needs_document = pytest.mark.skipif(read_document() is None, reason=f"{VARIABLE} names no document")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a cloud of this module."""
    with start_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: Cloud) -> Iterator[Cloud]:
    """Return the cloud, quick and even; what a test took away or made is back, or gone."""
    shared.set_manners(**POLITE)
    yield shared
    shared.set_manners(**POLITE)
    shared.clear_faults()
    shared.deny()
    shared.put("account", "account", {"droplet_limit": 25})
    for kind, key in (
        ("load_balancers", "id"),
        ("droplets", "id"),
        ("firewalls", "id"),
        ("reserved_ips", "ip"),
        ("images", "id"),
        ("tags", "name"),
    ):
        private = "&private=true" if kind == "images" else ""
        for one in shared.ask("GET", f"{kind}?per_page=200{private}").body[kind]:
            shared.ask("DELETE", f"{kind}/{one[key]}")


def make(cloud: Cloud, name: str = "one", **words: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's
    """Make a droplet; return it as it is afterwards."""
    body = {"name": name, "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN, **words}
    said = cloud.ask("POST", "droplets", body)
    assert said.code == 202, said.body
    return read(cloud, said.body["droplet"]["id"])


def make_server(cloud: Cloud, generation: str, *tags: str) -> dict[str, Any]:
    """Make a droplet that serves as one of a generation."""
    launch = {"service": "web", "generation": generation, "env": {}}
    return make(cloud, f"web-{generation}", user_data=json.dumps(launch), tags=[*tags])


def read(cloud: Cloud, which: int) -> dict[str, Any]:
    """Return a droplet."""
    found: dict[str, Any] = cloud.ask("GET", f"droplets/{which}").body["droplet"]
    return found


def act(cloud: Cloud, path: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's
    """Begin an action and return how it is then."""
    said = cloud.ask("POST", f"{path}/actions", body)
    assert said.code == 201, said.body
    found: dict[str, Any] = cloud.ask("GET", f"actions/{said.body['action']['id']}").body["action"]
    return found


def tag(cloud: Cloud, name: str, *droplets: int, verb: str = "POST") -> None:
    """Give a tag to droplets, or take it off with `DELETE`."""
    cloud.ask("POST", "tags", {"name": name})
    resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in droplets]
    assert cloud.ask(verb, f"tags/{name}/resources", {"resources": resources}).code == 204


def balance(cloud: Cloud, port: int, **words: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's
    """Make a balancer for the tag `live`; return it when it is active."""
    rule = {
        "entry_protocol": "http",
        "entry_port": port,
        "target_protocol": "http",
        "target_port": 8000,
    }
    check = {
        "protocol": "http",
        "port": 8000,
        "path": "/healthz",
        "check_interval_seconds": 3,
        "response_timeout_seconds": 3,
        "healthy_threshold": 2,
        "unhealthy_threshold": 2,
    }
    body = {
        "name": "web",
        "region": REGION,
        "tag": "live",
        "forwarding_rules": [rule],
        "health_check": check,
        **words,
    }
    said = cloud.ask("POST", "load_balancers", body)
    assert said.code == 202, said.body
    return find_balancer(cloud, said.body["load_balancer"]["id"])


def find_balancer(cloud: Cloud, which: str) -> dict[str, Any]:
    """Return a balancer."""
    found: dict[str, Any] = cloud.ask("GET", f"load_balancers/{which}").body["load_balancer"]
    return found


def visit(address: str, port: int) -> str:
    """Return the generation that answers, or the code of a refusal."""
    try:
        with urlopen(f"http://{address}:{port}/", timeout=10) as answer:
            return str(json.loads(answer.read())["generation"])
    except HTTPError as error:
        return str(error.code)
    except OSError:
        return "nobody"


def wait_for(address: str, port: int, *wanted: str) -> None:
    """Wait until these answer, and nobody else does."""

    def look() -> bool:
        return {visit(address, port) for _ in range(8)} == {*wanted}

    wait_until(look, SECONDS)


# the document
@needs_document
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_the_documents(name: str) -> None:
    """Path, verb, name, scopes and code of each operation are as DigitalOcean documents them."""
    assert parts.MODULES
    document, operation = read_document(), OPERATIONS[name]
    assert document is not None
    words = document.describe(operation)
    assert {*list_scopes(words)} - {"block_storage_snapshot:read"} == {*operation.scopes}
    assert str(operation.answer) in words["responses"]


@needs_document
def test_a_request_is_held_against_the_document(cloud: Cloud) -> None:
    """A field that the document does not have is refused, and so is a value of another type."""
    said = cloud.ask("POST", "vpcs", {"name": "own", "region": REGION, "colour": "red"})
    assert (said.code, "colour" in said.body["message"]) == (422, True)
    assert cloud.ask("GET", "droplets?per_page=201").code == 422
    assert cloud.ask("GET", "droplets?tag=web").code == 422


@needs_document
def test_what_the_clients_really_send_is_taken(cloud: Cloud) -> None:
    """Nulls of the provider are no mistake, though the document does not have them."""
    assert make(cloud, ssh_keys=None)["status"] == "active"


def test_what_is_not_emulated_is_an_alarm(cloud: Cloud) -> None:
    """A path that nothing answers and a field that nothing acts on fail the test that met them."""
    assert cloud.ask("GET", "kubernetes/clusters").code == 501
    body = {"name": "one", "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN}
    assert cloud.ask("POST", "droplets", {**body, "backups": True}).code == 501
    assert [one["event"] for one in cloud.take_alarms()] == ["refused", "refused"]


# droplets
def test_a_droplet_is_made_found_and_destroyed(cloud: Cloud) -> None:
    """It is active with an address, is listed by its tag, and is gone when it was destroyed."""
    made = make(cloud, tags=["web"])
    assert (made["status"], made["locked"]) == ("active", False)
    assert [one["type"] for one in made["networks"]["v4"]] == ["public", "private"]
    assert [one["id"] for one in cloud.ask("GET", "droplets?tag_name=WEB").body["droplets"]] == [
        made["id"]
    ]
    assert cloud.ask("DELETE", f"droplets/{made['id']}").code == 204
    assert cloud.ask("GET", f"droplets/{made['id']}").code == 404


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"size": "s-4vcpu-8gb", "region": "nyc1"}, "Size is not available in this region"),
        ({"size": "s-none"}, "invalid size"),
        ({"image": 77}, "invalid image"),
        ({"user_data": "x" * 65537}, "User data is too long"),
        ({"vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"}, "VPC is not in the region"),
    ],
)
def test_a_droplet_that_cannot_be_is_refused(
    cloud: Cloud, words: dict[str, Any], said: str
) -> None:
    """What does not go together is a 422 that says it, and nothing is made."""
    body = {"name": "one", "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN, **words}
    refused = cloud.ask("POST", "droplets", body)
    assert (refused.code, refused.body["id"]) == (422, "unprocessable_entity")
    assert said in refused.body["message"]
    assert cloud.ask("GET", "droplets").body["droplets"] == []


def test_the_droplet_limit_is_known_by_its_words(cloud: Cloud) -> None:
    """One too many is refused in words by which our code knows it."""
    cloud.put("account", "account", {"droplet_limit": 0})
    body = {"name": "one", "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN}
    said = cloud.ask("POST", "droplets", body)
    assert said.code == 422
    assert DoError(said.body["id"], said.body["message"]).code == "droplet_limit"


def test_ten_droplets_are_new_at_once(cloud: Cloud) -> None:
    """The eleventh is refused while ten are being made; these stay new and locked."""
    cloud.keep_new(10)
    assert {make(cloud, f"n{number}")["status"] for number in range(10)} == {"new"}
    body = {"name": "one", "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN}
    assert "at once" in cloud.ask("POST", "droplets", body).body["message"]


def test_a_new_droplet_is_not_found_at_once(cloud: Cloud) -> None:
    """A stranger meets a 404 right after the create, and the droplet some moments later."""
    cloud.set_manners(unseen=2.0)
    which = make(cloud)["id"]
    assert cloud.ask("GET", f"droplets/{which}", agent=STRANGER).code == 404
    wait_until(lambda: cloud.ask("GET", f"droplets/{which}", agent=STRANGER).code == 200, SECONDS)


# actions and images
def test_a_snapshot_is_seen_when_it_is_done(cloud: Cloud) -> None:
    """Nothing lists it before; then it fits only disks of its size and larger, in its region."""
    cloud.set_manners(action=3.0)
    droplet = make(cloud, size="s-2vcpu-4gb")
    path = f"droplets/{droplet['id']}"
    assert act(cloud, path, type="snapshot", name="mine")["status"] == "in-progress"
    assert read(cloud, droplet["id"])["locked"]
    busy = cloud.ask("POST", f"{path}/actions", {"type": "power_off"})
    assert DoError(busy.body["id"], busy.body["message"]).is_one_of(AGAIN)
    assert cloud.ask("GET", "images?private=true").body["images"] == []
    wait_until(lambda: bool(cloud.ask("GET", "images?private=true").body["images"]), SECONDS)
    (image,) = cloud.ask("GET", "images?private=true").body["images"]
    assert (image["name"], image["min_disk_size"], image["regions"]) == ("mine", 80, [REGION])
    (snapshot,) = cloud.ask("GET", f"{path}/snapshots").body["snapshots"]
    assert snapshot["id"] == image["id"]
    body = {"name": "two", "region": REGION, "image": image["id"]}
    small = cloud.ask("POST", "droplets", {**body, "size": "s-1vcpu-1gb"})
    assert (small.code, "too large" in small.body["message"]) == (422, True)
    away = cloud.ask("POST", "droplets", {**body, "size": "s-2vcpu-4gb", "region": "ams3"})
    assert (away.code, "not available in the selected region" in away.body["message"]) == (
        422,
        True,
    )


def test_an_image_is_copied_described_and_tagged(cloud: Cloud) -> None:
    """A transfer adds a region; name and description change; a tag of another kind finds it."""
    act(cloud, f"droplets/{make(cloud)['id']}", type="snapshot", name="mine")
    (image,) = cloud.ask("GET", "images?private=true").body["images"]
    assert act(cloud, f"images/{image['id']}", type="transfer", region="ams3")["status"] == (
        "completed"
    )
    cloud.ask("PUT", f"images/{image['id']}", {"description": "whole"})
    cloud.ask("POST", "tags", {"name": "marked"})
    resource = {"resource_id": str(image["id"]), "resource_type": "image"}
    assert cloud.ask("POST", "tags/marked/resources", {"resources": [resource]}).code == 204
    (found,) = cloud.ask("GET", "images?tag_name=marked&private=true").body["images"]
    assert (found["regions"], found["description"]) == ([REGION, "ams3"], "whole")
    assert cloud.ask("DELETE", f"images/{image['id']}").code == 204
    assert cloud.ask("GET", f"images/{image['id']}").code == 404
    assert cloud.ask("GET", f"images/{DEBIAN}").body["image"]["slug"] == DEBIAN


def test_an_action_may_fail_or_never_end(cloud: Cloud) -> None:
    """An errored snapshot leaves no image; a transfer that hangs leaves the image in its region."""
    path = f"droplets/{make(cloud)['id']}"
    cloud.fail_action("snapshot")
    assert act(cloud, path, type="snapshot")["status"] == "errored"
    assert cloud.ask("GET", "images?private=true").body["images"] == []
    act(cloud, path, type="snapshot")
    (image,) = cloud.ask("GET", "images?private=true").body["images"]
    cloud.hang_action("transfer")
    hung = act(cloud, f"images/{image['id']}", type="transfer", region="ams3")
    assert hung["status"] == "in-progress"
    assert cloud.ask("GET", f"images/{image['id']}").body["image"]["regions"] == [REGION]


def test_a_change_in_place_is_in_the_journal(cloud: Cloud) -> None:
    """Who resizes or renames a droplet is found: immutable servers meet neither."""
    path = f"droplets/{make(cloud)['id']}"
    cloud.read_new()
    act(cloud, path, type="rename", name="other")
    assert [one["how"] for one in cloud.read_new() if one["event"] == "changed"] == ["rename"]


# tags
def test_a_tag_is_the_same_in_any_spelling(cloud: Cloud) -> None:
    """`Dev` and `dev` are one; it outlives its resources, and its end takes it off everything."""
    first = make(cloud, tags=["Dev"])
    second = make(cloud, "two", tags=["dev"])
    assert (first["tags"], second["tags"]) == (["Dev"], ["Dev"])
    said = cloud.ask("GET", "tags/DEV").body["tag"]
    assert (said["name"], said["resources"]["droplets"]["count"]) == ("Dev", 2)
    cloud.ask("DELETE", f"droplets/{first['id']}")
    assert cloud.ask("DELETE", "tags/dev").code == 204
    assert read(cloud, second["id"])["tags"] == []
    assert cloud.ask("DELETE", "tags/dev").code == 404


def test_tagging_what_is_not_there_is_refused(cloud: Cloud) -> None:
    """A tag that is missing is a 404, and so is a droplet, and then nobody is tagged."""
    droplet = make(cloud)
    resources = [
        {"resource_id": str(one), "resource_type": "droplet"} for one in (droplet["id"], 77)
    ]
    assert cloud.ask("POST", "tags/none/resources", {"resources": resources}).code == 404
    cloud.ask("POST", "tags", {"name": "web"})
    assert cloud.ask("POST", "tags/web/resources", {"resources": resources}).code == 404
    assert read(cloud, droplet["id"])["tags"] == []


# manners of the API
def test_a_page_may_hold_one_thing(cloud: Cloud) -> None:
    """The next page's link is one of the real host, and the last page has none."""
    cloud.set_manners(page=1)
    for name in ("one", "two"):
        make(cloud, name)
    first = cloud.ask("GET", "droplets?per_page=200", agent=STRANGER).body
    assert (len(first["droplets"]), first["meta"]["total"]) == (1, 2)
    assert first["links"]["pages"]["next"].startswith("https://api.digitalocean.com/v2/droplets?")
    second = cloud.ask("GET", "droplets?per_page=200&page=2", agent=STRANGER).body
    assert [one["name"] for one in second["droplets"]] == ["two"]
    assert "next" not in second["links"]["pages"]


def test_a_token_has_so_many_calls_a_minute(cloud: Cloud) -> None:
    """The one after is a 429 that says when; keys may be listed ten times, and no more."""
    cloud.set_manners(minute=250)
    assert {cloud.ask("GET", "account/keys", agent=STRANGER).code for _ in range(10)} == {200}
    said = cloud.ask("GET", "account/keys", agent=STRANGER)
    assert (said.code, said.body["id"]) == (429, "too_many_requests")
    assert 1 <= int(said.headers["retry-after"]) <= 60
    assert int(said.headers["ratelimit-reset"]) > time.time()
    cloud.pass_by(61)
    assert cloud.ask("GET", "account/keys", agent=STRANGER).code == 200


def test_a_missing_scope_is_told_from_a_busy_balancer(cloud: Cloud) -> None:
    """Both are 403 `forbidden`: their words differ, and our code knows them apart."""
    cloud.set_manners(busy=4.0)
    balancer = balance(cloud, 8081)
    busy = cloud.ask("PUT", f"load_balancers/{balancer['id']}", {**body_of(balancer)})
    cloud.deny("load_balancer:update")
    denied = cloud.ask("PUT", f"load_balancers/{balancer['id']}", {**body_of(balancer)})
    assert [(one.code, one.body["message"]) for one in (busy, denied)] == [
        (403, BUSY),
        (403, NO_SCOPE),
    ]
    codes = [DoError(one.body["id"], one.body["message"]).code for one in (busy, denied)]
    assert codes == ["busy", "forbidden"]


def test_scopes_of_a_new_droplets_fields_are_needed(cloud: Cloud) -> None:
    """Who gives it tags needs `tag:create` too; without tags it does not."""
    cloud.deny("tag:create")
    body = {"name": "one", "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN}
    assert cloud.ask("POST", "droplets", {**body, "tags": ["web"]}).code == 403
    assert cloud.ask("POST", "droplets", body).code == 202


def test_a_call_may_be_refused_lost_or_without_a_token(cloud: Cloud) -> None:
    """A fault is counted down, a lost answer's call was carried out, another token is a 401."""
    cloud.set_fault("account.get", "server_error")
    assert [cloud.ask("GET", "account").code for _ in range(2)] == [500, 200]
    cloud.lose_answers("tags.create")
    with pytest.raises((OSError, ConnectionError)):
        cloud.ask("POST", "tags", {"name": "lost"})
    assert cloud.ask("GET", "tags/lost").code == 200
    assert cloud.ask("GET", "account", token="other").code == 401  # noqa: S106 - not a secret


def body_of(balancer: dict[str, Any]) -> dict[str, Any]:
    """Return what a PUT of everything sends for a balancer of a tag."""
    names = ("name", "forwarding_rules", "health_check", "size_unit", "tag")
    return {**{key: balancer[key] for key in names}, "region": REGION}


# balancers
def test_traffic_moves_by_the_tag(cloud: Cloud) -> None:
    """Nobody is a 503; who gets the tag serves, and who loses it does not."""
    old, new = make_server(cloud, "aaaa"), make_server(cloud, "bbbb")
    balancer = balance(cloud, 8082)
    address = balancer["ip"]
    assert visit(address, 8082) == "503"
    tag(cloud, "live", old["id"])
    wait_for(address, 8082, "aaaa")
    cloud.read_new()
    tag(cloud, "live", new["id"])
    wait_for(address, 8082, "aaaa", "bbbb")
    tag(cloud, "live", old["id"], verb="DELETE")
    wait_for(address, 8082, "bbbb")
    assert find_balancer(cloud, balancer["id"])["droplet_ids"] == [new["id"]]
    moves = [one["weights"] for one in cloud.read_new() if one["event"] == "traffic"]
    mark = balancer["id"][:8]
    assert moves[-1] == {f"web-bbbb-{mark}": 1}


def test_the_pool_follows_a_tag_late(cloud: Cloud) -> None:
    """The tag is there at once, and the balancer's droplets are as before for a while."""
    balancer, droplet = balance(cloud, 8083), make_server(cloud, "aaaa")
    cloud.set_manners(follow=1e6)  # of which even a small part is longer than the test
    tag(cloud, "live", droplet["id"])
    assert read(cloud, droplet["id"])["tags"] == ["live"]
    assert find_balancer(cloud, balancer["id"])["droplet_ids"] == []
    cloud.set_manners(follow=0.5)
    both = {droplet["id"], make_server(cloud, "aaaa", "live")["id"]}
    wait_until(lambda: {*find_balancer(cloud, balancer["id"])["droplet_ids"]} == both, SECONDS)


def test_a_put_resets_what_it_leaves_out(cloud: Cloud) -> None:
    """Without its tag the pool is empty, and each request a 503."""
    droplet, balancer = make_server(cloud, "aaaa", "live"), balance(cloud, 8084)
    wait_for(balancer["ip"], 8084, "aaaa")
    body = body_of(balancer)
    assert cloud.ask("PUT", f"load_balancers/{balancer['id']}", body).code == 200
    wait_for(balancer["ip"], 8084, "aaaa")
    del body["tag"]
    assert cloud.ask("PUT", f"load_balancers/{balancer['id']}", body).code == 200
    wait_for(balancer["ip"], 8084, "503")
    after = find_balancer(cloud, balancer["id"])
    assert (after["tag"], after["droplet_ids"]) == ("", [])
    assert read(cloud, droplet["id"])["tags"] == ["live"]


def test_ids_and_a_tag_exclude_each_other(cloud: Cloud) -> None:
    """A droplet is not added by id to a balancer of a tag."""
    droplet, balancer = make(cloud), balance(cloud, 8085)
    said = cloud.ask(
        "POST", f"load_balancers/{balancer['id']}/droplets", {"droplet_ids": [droplet["id"]]}
    )
    assert said.code == 422


def test_who_fails_its_checks_gets_nothing(cloud: Cloud) -> None:
    """A sick droplet of the pool is passed over, and its balancer still lists it."""
    sick = cloud.folder / "sick-bbbb"
    one, other = make_server(cloud, "aaaa", "live"), make_server(cloud, "bbbb", "live")
    balancer = balance(cloud, 8086)
    wait_for(balancer["ip"], 8086, "aaaa", "bbbb")
    sick.touch()
    try:
        wait_for(balancer["ip"], 8086, "aaaa")
        assert find_balancer(cloud, balancer["id"])["droplet_ids"] == [one["id"], other["id"]]
    finally:
        sick.unlink()


def test_a_balancer_lets_in_whom_its_own_firewall_does(cloud: Cloud) -> None:
    """An address that `allow` does not name is hung up on."""
    make_server(cloud, "aaaa", "live")
    balancer = balance(cloud, 8087)
    wait_for(balancer["ip"], 8087, "aaaa")
    body = {**body_of(balancer), "firewall": {"allow": ["cidr:10.0.0.0/8"]}}
    cloud.ask("PUT", f"load_balancers/{balancer['id']}", body)
    wait_for(balancer["ip"], 8087, "nobody")


# firewalls
def guard(cloud: Cloud, name: str, port: str, **sources: Any) -> dict[str, Any]:  # noqa: ANN401 - the API's
    """Make a firewall of the tag `web` that lets somebody come to a port."""
    cloud.ask("POST", "tags", {"name": "web"})
    rule = {"protocol": "tcp", "ports": port, "sources": sources}
    said = cloud.ask("POST", "firewalls", {"name": name, "inbound_rules": [rule], "tags": ["web"]})
    assert said.code == 202, said.body
    found: dict[str, Any] = said.body["firewall"]
    return found


def test_firewalls_add_up(cloud: Cloud) -> None:
    """A droplet without one is open; what one lets in is added to what another does."""
    balancer = balance(cloud, 8088)
    droplet = make_server(cloud, "aaaa", "web", "live")
    address = droplet["networks"]["v4"][0]["ip_address"]
    wait_until(lambda: visit(address, 8000) == "aaaa", SECONDS)
    guard(cloud, "service", "8000", load_balancer_uids=[balancer["id"]])
    wait_until(lambda: visit(address, 8000) == "nobody", SECONDS)
    wait_for(balancer["ip"], 8088, "aaaa")
    window = guard(cloud, "window", "8000", addresses=["127.0.0.1/32"])
    wait_until(lambda: visit(address, 8000) == "aaaa", SECONDS)
    assert cloud.ask("DELETE", f"firewalls/{window['id']}").code == 204
    wait_until(lambda: visit(address, 8000) == "nobody", SECONDS)
    wait_for(balancer["ip"], 8088, "aaaa")


def test_a_balancer_that_no_rule_names_is_shut_out(cloud: Cloud) -> None:
    """Its checks fail, and so it answers 503."""
    make_server(cloud, "aaaa", "web", "live")
    balancer = balance(cloud, 8089)
    wait_for(balancer["ip"], 8089, "aaaa")
    guard(cloud, "other", "8000", addresses=["0.0.0.0/0"])
    wait_for(balancer["ip"], 8089, "503")


def test_a_firewall_takes_a_droplet_in_late(cloud: Cloud) -> None:
    """Between the create and then its changes are pending, and the droplet is open."""
    cloud.set_manners(guard=6.0)
    firewall = guard(cloud, "late", "8000", addresses=["10.0.0.0/8"])
    droplet = make_server(cloud, "aaaa", "web")
    said = cloud.ask("GET", f"firewalls/{firewall['id']}").body["firewall"]
    assert [one["droplet_id"] for one in said["pending_changes"]] == [droplet["id"]]
    address = droplet["networks"]["v4"][0]["ip_address"]
    assert visit(address, 8000) == "aaaa"
    wait_until(lambda: visit(address, 8000) == "nobody", SECONDS)
    said = cloud.ask("GET", f"firewalls/{firewall['id']}").body["firewall"]
    assert (said["status"], said["pending_changes"]) == ("succeeded", [])


def test_logins_go_by_the_firewall_too(cloud: Cloud) -> None:
    """Who is not let in is hung up on before the server's banner."""
    launch = {"service": "web", "generation": "aaaa", "login_key": KEY, "window_ends": 2**31}
    droplet = make(cloud, user_data=json.dumps(launch), tags=["web"])
    address = droplet["networks"]["v4"][0]["ip_address"]
    wait_until(lambda: read_banner(address).startswith("SSH-2.0"), SECONDS)
    guard(cloud, "logins", "22", addresses=["10.0.0.0/8"])
    wait_until(lambda: not read_banner(address), SECONDS)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def read_banner(address: str) -> str:
    """Return how a server for logins says what it is; empty when it hangs up or is not there."""
    try:
        with socket.create_connection((address, 2222), timeout=5) as line:
            return line.recv(64).decode(errors="replace")
    except OSError:
        return ""


# reserved addresses, keys and VPCs
def test_a_reserved_address_leads_to_one_droplet(cloud: Cloud) -> None:
    """An action gives it to a droplet, and then to another; the same droplet has no second."""
    guard(cloud, "open", "8000", addresses=["0.0.0.0/0"])
    old, new = make_server(cloud, "aaaa", "web"), make_server(cloud, "bbbb", "web")
    first, second = (
        cloud.ask("POST", "reserved_ips", {"region": REGION}).body["reserved_ip"]["ip"]
        for _ in range(2)
    )
    for droplet, generation in ((old, "aaaa"), (new, "bbbb")):
        body = {"type": "assign", "droplet_id": droplet["id"]}
        assert cloud.ask("POST", f"reserved_ips/{first}/actions", body).code == 201
        wait_for(first, 8000, generation)
    assert (
        cloud.ask("GET", f"reserved_ips/{first}").body["reserved_ip"]["droplet"]["id"]
        == (new["id"])
    )
    assert cloud.ask("POST", f"reserved_ips/{second}/actions", body).code == 422


def test_keys_and_vpcs_are_refused_twice(cloud: Cloud) -> None:
    """An account has a key once; a VPC with members and the default one stay."""
    key = cloud.ask("POST", "account/keys", {"name": "bake", "public_key": KEY}).body["ssh_key"]
    assert cloud.ask("POST", "account/keys", {"name": "two", "public_key": KEY}).code == 422
    assert cloud.ask("DELETE", f"account/keys/{key['fingerprint']}").code == 204
    vpc = cloud.ask("POST", "vpcs", {"name": "own", "region": REGION}).body["vpc"]["id"]
    droplet = make(cloud, vpc_uuid=vpc)
    assert cloud.ask("DELETE", f"vpcs/{vpc}").code == 409
    cloud.ask("DELETE", f"droplets/{droplet['id']}")
    assert cloud.ask("DELETE", f"vpcs/{vpc}").code == 204
    (default,) = (
        one["id"] for one in cloud.ask("GET", "vpcs").body["vpcs"] if one["region"] == REGION
    )
    assert cloud.ask("DELETE", f"vpcs/{default}").code == 403
