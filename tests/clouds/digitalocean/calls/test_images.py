"""The digitalocean target's images on an emulated account: catalog, locks, bakes, leftovers."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from clouds.digitalocean.emulation.places import DEBIAN
from clouds.shared_tests import images as shared
from clouds.shared_tests.images import (
    ANOTHER,
    DIGEST,
    LINEAGE,
    PARENT,
    VERSION,
    Images,
    make_request,
)
from harness.digitalocean.cloud import REGION
from harness.digitalocean.do_world import World
from harness.emulated_cloud import REFUSED
from immutable_servers.contract.images import REVOKED
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError, ImmutableError, SettingsError, SetupError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.images import render_description
from immutable_servers.targets.digitalocean.bake import (
    BEGUN,
    IDS,
    Watch,
    find_bakes,
)
from immutable_servers.targets.digitalocean.names import name_image
from immutable_servers.targets.shared.bake_locks import hold_version

NUMBERS = itertools.count(900_000)
STRANGER, EARLY, LATER = "0" * 12, "0000000001", "4000000000"
ALIVE = f"bake-app-{VERSION}-{STRANGER}-{LATER}"
"""The name of a bake that another machine does now."""


def put_snapshot(world: World, name: str, description: str = "", **words: Any) -> str:  # noqa: ANN401 - its fields
    """Have a snapshot be there; return its id."""
    number = next(NUMBERS)
    snapshot = {
        "id": number,
        "name": name,
        "type": "snapshot",
        "distribution": "Debian",
        "slug": None,
        "public": False,
        "regions": [REGION],
        "created_at": f"2026-11-01T00:00:{number % 60:02}Z",
        "min_disk_size": 25,
        "size_gigabytes": 1.5,
        "status": "available",
        "description": description,
        "tags": [],
        "_droplet": 1,
    }
    world.cloud.put("images", number, {**snapshot, **words})
    return str(number)


def make_image(world: World, lineage: Mapping[str, Any] = LINEAGE, **words: Any) -> str:  # noqa: ANN401 - a snapshot's fields
    """Have a whole image be there; return its id."""
    name = name_image(lineage["image"], lineage["version"])
    return put_snapshot(world, name, render_description(lineage), **words)


def find_lock(world: World) -> dict[str, Any]:
    """Return the lock entry of the newest Debian."""
    return world.make_target().images.find_upstream({}, {}, lambda _line: None)


def list_left(world: World) -> dict[str, list[str]]:
    """Return the names of what bakes have made, by kind."""
    api = world.make_target().api
    return {kind: [one["name"] for one in find_bakes(api, kind)] for kind in IDS}


NOTHING: Mapping[str, list[str]] = {kind: [] for kind in IDS}


class FakePacker(shared.FakePacker):
    """Makes a droplet and its snapshot as Packer's plugin does.

    Attributes:
        firewalls: Those of the account meanwhile.
        watch: Who is told its last line.
    """

    taken = (f"{ALIVE}, a key of the account, {BEGUN}", f"another key {BEGUN}")

    def __init__(self, world: World, *, fails: str = "") -> None:
        super().__init__(fails=fails)
        self.world = world
        self.firewalls: list[dict[str, Any]] = []
        self.watch: Callable[[str], None] | None = None

    def build(
        self,
        variables: Mapping[str, str],
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Keep who watches."""
        self.watch = watch
        return super().build(variables, watch, programs, environment)

    def make(self) -> None:
        """Make what the variables name; another run's image where the name is taken."""
        if self.fails:
            make_image(self.world)
            return
        world, given = self.world, self.given
        self.firewalls = world.find_all("firewalls")
        body = {
            "name": given["name"],
            "region": given["region"],
            "size": given["size"],
            "image": int(given["source_image"]),
            "ssh_keys": [int(given["ssh_key"])],
            "tags": json.loads(given["tags"]),
            "user_data": given["user_data"],
        }
        made = world.cloud.ask("POST", "droplets", body)
        if made.code >= REFUSED:
            url = f"Error creating droplet: POST {world.cloud.endpoint}/v2/droplets"
            facts = [f'==> {url}: {made.code} (request "1") {made.body["message"]}']
            raise ImageError("`packer build` of image app failed", facts=facts)
        droplet = made.body["droplet"]["id"]
        try:
            words = {"type": "snapshot", "name": given["name"]}
            world.call("POST", f"droplets/{droplet}/actions", words)
            assert self.watch
            self.watch("    digitalocean.digitalocean: Waiting for snapshot to complete...")
        finally:
            world.call("DELETE", f"droplets/{droplet}")


class TestImages(Images[World]):
    """An image that is being made has its bake's name; there are no tunnels, and no volumes."""

    through: ClassVar[Mapping[str, Any]] = {}
    tool = "none"

    @pytest.fixture(autouse=True)
    def _parent(self, world: World) -> None:
        """Have the parent be there, on a small disk."""
        self.__class__.parent = put_snapshot(world, "parent", min_disk_size=12)

    def make_packer(self, world: World, fails: str = "") -> FakePacker:
        """Return one that makes snapshots of the account."""
        return FakePacker(world, fails=fails)

    def find_lock(self, world: World) -> Mapping[str, Any]:
        """Return the entry of DigitalOcean's Debian."""
        return find_lock(world)

    def begin_image(self, world: World) -> str:
        """Make a snapshot of another machine's bake."""
        return put_snapshot(world, ALIVE)

    def finish_image(self, world: World, image: str) -> None:
        """Give it name and description."""
        words = {"name": name_image("app", VERSION), "description": render_description(LINEAGE)}
        world.cloud.ask("PUT", f"images/{image}", words)

    def read_launch(self, given: Mapping[str, str]) -> Mapping[str, Any]:
        """It is the user data."""
        assert given["source_image"] == self.parent
        return dict(json.loads(given["user_data"]))

    def test_a_disk_smaller_than_the_image_is_refused(self, world: World, tmp_path: Path) -> None:  # type: ignore[override] # takes what a bake needs
        """A bake on a parent that was baked on a larger disk: DigitalOcean's words are said."""
        large = put_snapshot(world, "large", min_disk_size=50)
        parent = Artifact("base", PARENT, large, facts={"gigabytes": 50})
        with pytest.raises(ImageError, match="DigitalOcean refused the bake of app") as raised:
            world.make_target().images.bake(
                make_request(tmp_path, parent=parent), FakePacker(world)
            )
        assert "too large for the size's disk" in "\n".join(raised.value.facts)

    def test_a_bake_through_a_tunnel_needs_its_tool(self, world: World) -> None:  # type: ignore[override] # there is no tool
        """There are no tunnels; a bake needs a size that the region has, and a launch does not."""
        catalog = world.make_target(build_size="s-9vcpu-9gb").images
        catalog.refuse_unfit(self.find_made(world))
        world.make_target().images.refuse_unfit(None)
        with pytest.raises(SettingsError, match=f"not to be had in {REGION}"):
            catalog.refuse_unfit(None)


# catalog
def test_an_artifact_is_found_by_image_and_version(world: World) -> None:
    """A whole image is found with its lineage by one listing; another version is not."""
    made = make_image(world)
    catalog = world.make_target().images
    world.cloud.read_new()
    found = catalog.find("app", VERSION, DIGEST)
    calls = [event["call"] for event in world.cloud.read_new() if event["event"] == "api"]
    assert calls == ["images.list"]
    assert found is not None
    assert (found.id, found.parents, found.digest) == (made, {"base": PARENT}, DIGEST)
    assert (found.facts["commit"], found.facts["clean"]) == ("abc", True)
    assert catalog.measure(found) == 25 * 1024**3
    assert catalog.find("app", "000000000000", "") is None
    assert catalog.find("base", VERSION, "") is None


def test_an_image_of_another_region_is_none_here(world: World) -> None:
    """No droplet of this region could be launched from it; of two the first is taken."""
    make_image(world, regions=["ams3"])
    catalog = world.make_target().images
    assert catalog.find("app", VERSION, "") is None
    first = make_image(world, created_at="2026-11-02T00:00:00Z", regions=[REGION, "ams3"])
    make_image(world, created_at="2026-11-03T00:00:00Z")
    found = catalog.find("app", VERSION, "")
    assert found is not None
    assert found.id == first


def test_an_image_is_trusted_by_its_digest_and_not_by_its_name(world: World) -> None:
    """One that somebody gave the name is refused, with both digests, and is not baked over."""
    made = make_image(world, {**LINEAGE, "digest": ANOTHER})
    catalog = world.make_target().images
    with pytest.raises(ImageError, match="another than this run wants") as raised:
        catalog.find("app", VERSION, DIGEST)
    assert raised.value.facts[:2] == (f"Wanted: digest {DIGEST}", f"{made}: digest {ANOTHER}")
    put_snapshot(world, name_image("base", VERSION), "a copy")
    assert catalog.find("base", VERSION, DIGEST) is None
    with pytest.raises(ImageError, match="does not say what it was baked from"):
        catalog.refuse_unproven("base", VERSION)


def test_the_catalog_lists_what_is_ours_and_whole(world: World) -> None:
    """Oldest first; a snapshot that a bake has not named yet is none."""
    base = {**LINEAGE, "image": "base", "parents": {}}
    make_image(world, created_at="2026-11-02T00:00:00Z")
    make_image(world, base, created_at="2026-11-01T00:00:00Z")
    put_snapshot(world, ALIVE)
    put_snapshot(world, "of-somebody")
    assert [one.image for one in world.make_target().images.list()] == ["base", "app"]


def test_a_mark_comes_and_goes(world: World) -> None:
    """Any text may be one, and all else that the description says stays."""
    which = make_image(world)
    catalog = world.make_target().images
    artifact = catalog.find("app", VERSION, DIGEST)
    assert artifact is not None
    reason = "CVE-2026-1: 'kernel' & all — see https://example.com/Ä"
    catalog.mark(artifact, REVOKED, reason)
    catalog.mark(artifact, "kept-by", "ops")
    again = catalog.find("app", VERSION, DIGEST)
    assert again is not None
    assert again.marks == {REVOKED: reason, "kept-by": "ops"}
    assert (again.digest, again.facts["commit"]) == (DIGEST, "abc")
    catalog.mark(artifact, REVOKED, "")
    catalog.mark(artifact, "kept-by", "")
    said = json.loads(world.call("GET", f"images/{which}")["image"]["description"])
    assert said == {**json.loads(render_description(LINEAGE)), "marks": {}}


def test_what_is_in_use_is_not_deleted(world: World) -> None:
    """A droplet holds an image, and so does an image that was baked from it."""
    base = make_image(world, {**LINEAGE, "image": "base", "version": PARENT, "parents": {}})
    app = make_image(world)
    catalog = world.make_target().images
    parent, child = (
        catalog.find(image, version, DIGEST)
        for image, version in (("base", PARENT), ("app", VERSION))
    )
    assert parent
    assert child
    with pytest.raises(ImageError, match="cannot be deleted") as raised:
        catalog.delete(parent)
    assert raised.value.facts == (f"{app} was baked from it",)
    body = {"name": "web-1", "region": REGION, "size": "s-1vcpu-1gb", "image": int(app)}
    droplet = world.call("POST", "droplets", body)["droplet"]["id"]
    with pytest.raises(ImageError, match="cannot be deleted") as raised:
        catalog.delete(child)
    assert raised.value.facts == ("the server web-1 runs it",)
    world.call("DELETE", f"droplets/{droplet}")
    catalog.delete(child)
    catalog.delete(parent)
    assert [one for one in (base, app) if world.cloud.ask("GET", f"images/{one}").code != 404] == []


# locks
def test_the_lock_names_the_image_that_a_slug_has_now(world: World) -> None:
    """By its id, which no other image ever has."""
    there = world.call("GET", f"images/{DEBIAN}")["image"]
    for upstream in ({}, {"suite": "stable"}, {"suite": "trixie"}):
        found = world.make_target().images.find_upstream(
            {"upstream": upstream}, {}, lambda _line: None
        )
        assert found == {
            "image": str(there["id"]),
            "slug": DEBIAN,
            "created": there["created_at"],
        }


@pytest.mark.parametrize("upstream", [{"suite": "sid"}, {"image": "ubuntu"}, {"suite": "forky"}])
def test_an_upstream_that_is_not_there_is_said(world: World, upstream: Mapping[str, str]) -> None:
    """A suite that DigitalOcean does not have, and what is no suite of Debian's."""
    with pytest.raises(ImageError) as raised:
        world.make_target().images.find_upstream({"upstream": upstream}, {}, lambda _line: None)
    assert raised.value.todo.startswith("Correct `upstream`")


@pytest.mark.parametrize("status", ["retired", None])
def test_a_lock_can_die(world: World, tmp_path: Path, status: str | None) -> None:
    """The bake says so before it makes anything: the image is retired, or gone."""
    lock = find_lock(world)
    world.cloud.put("images", lock["image"], {"status": status} if status else None)
    packer = FakePacker(world)
    with pytest.raises(ImageError, match="lock names cannot be used any more") as raised:
        world.make_target().images.bake(make_request(tmp_path, lock=lock), packer)
    assert raised.value.facts[0].endswith(f": {status or 'deleted'}")
    assert "./immutable update" in raised.value.todo
    assert packer.given == {}
    assert list_left(world) == NOTHING


# bakes
def test_what_packer_is_handed(world: World, tmp_path: Path) -> None:
    """Where the droplet stands, what it starts from, and a key of this bake; nothing is left."""
    packer, lock = FakePacker(world), find_lock(world)
    vpc = world.call("POST", "vpcs", {"name": "own", "region": REGION})["vpc"]
    target = world.make_target(vpc=vpc["id"], verify_through="private", build_size="small")
    artifact = target.images.bake(make_request(tmp_path, lock=lock), packer)
    assert (artifact.digest, artifact.facts["gigabytes"]) == (DIGEST, 50)
    given = packer.given
    name = given["name"]
    assert {key: given[key] for key in given if key not in {"name", "login", "ssh_key"}} == {
        "tags": json.dumps([name]),
        "region": REGION,
        "size": "s-1vcpu-2gb",
        "source_image": lock["image"],
        "vpc": vpc["id"],
        "private": "true",
        "seconds": "60",
        "user_data": "",
    }
    assert bakes.read_bake(name)[bakes.VERSION] == VERSION
    assert "PRIVATE KEY" in packer.key
    assert not Path(given["login"]).exists()
    assert list_left(world) == NOTHING
    found = world.call("GET", f"images/{artifact.id}")["image"]
    assert (found["name"], found["tags"]) == (name_image("app", VERSION), [])
    assert json.loads(found["description"])["parents"] == {"base": PARENT}


WAYS: Mapping[str, tuple[Mapping[str, Any], list[str]]] = {
    "usual": ({"verify_from": []}, ["203.0.113.7/32"]),
    "named": ({"verify_from": ["198.51.100.7/24"]}, ["198.51.100.0/24"]),
    "private": ({"verify_through": "private", "verify_from": []}, ["10.0.0.0/20"]),
}


@pytest.mark.parametrize("case", WAYS)
def test_a_bake_lets_in_who_bakes_and_nobody_after(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The firewall has the droplet by its tag before there is one, and goes with the bake."""
    monkeypatch.setattr(
        "immutable_servers.targets.cloud.verifier.find_own_address", lambda *_: "203.0.113.7/32"
    )
    settings, wanted = WAYS[case]
    packer, lock = FakePacker(world), find_lock(world)
    world.make_target(**settings).images.bake(make_request(tmp_path, lock=lock), packer)
    (firewall,) = (one for one in packer.firewalls if one["name"] == packer.given["name"])
    assert firewall["tags"] == json.loads(packer.given["tags"])
    (rule,) = firewall["inbound_rules"]
    assert (rule["ports"], rule["sources"]["addresses"]) == ("22", wanted)
    other = make_request(tmp_path, lock=lock, version="0" * 12)
    with pytest.raises(ImageError):
        world.make_target().images.bake(other, FakePacker(world, fails="a script failed"))
    assert list_left(world) == NOTHING


def test_a_snapshot_is_named_after_its_last_copy(world: World, tmp_path: Path) -> None:
    """It is in all regions then; a copy that fails leaves nothing that could be launched."""
    lock, catalog = find_lock(world), world.make_target(copies=["ams3", "nyc1"]).images
    world.cloud.fail_action("transfer")
    with pytest.raises(ImageError, match="did not complete an action"):
        catalog.bake(make_request(tmp_path, lock=lock), FakePacker(world))
    assert (catalog.list(), list_left(world)) == ([], NOTHING)
    artifact = catalog.bake(make_request(tmp_path, lock=lock), FakePacker(world))
    found = world.call("GET", f"images/{artifact.id}")["image"]
    assert found["regions"] == [REGION, "ams3", "nyc1"]
    calls = [one["call"] for one in world.cloud.read_all() if one["event"] == "api"]
    last = len(calls) - calls[::-1].index("images.update")
    assert "imageActions.post" not in calls[last:]


def test_a_snapshot_that_fails_ends_the_bake_at_once(world: World, tmp_path: Path) -> None:
    """The plugin would wait for it until its time is over; nothing is left."""
    lock, catalog = find_lock(world), world.make_target().images
    world.cloud.fail_action("snapshot")
    with pytest.raises(ImageError, match="did not complete an action") as raised:
        catalog.bake(make_request(tmp_path, lock=lock), FakePacker(world))
    assert "is errored" in raised.value.facts[0] + raised.value.facts[-1]
    assert (catalog.list(), list_left(world)) == ([], NOTHING)


def test_a_refused_look_at_the_snapshot_ends_no_bake(world: World) -> None:
    """Nor is it looked at before Packer waits for it."""
    watch = Watch(world.make_target().api, ALIVE)
    world.cloud.set_fault("droplets.list", "server_error", times=99)
    watch("    digitalocean.digitalocean: Waiting for snapshot to complete...")
    world.cloud.clear_faults()
    world.cloud.read_new()
    Watch(world.make_target().api, ALIVE)("    digitalocean.digitalocean: Provisioning ...")
    assert world.cloud.read_new() == []


class HastyPacker(FakePacker):
    """Asks for its droplet before DigitalOcean knows it, some times."""

    def __init__(self, world: World, times: int) -> None:
        super().__init__(world)
        self.times, self.begun = times, 0

    def build(self, variables: Mapping[str, str], *more: Any, **named: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the base's
        """Fail as the plugin does."""
        self.begun += 1
        if self.begun > self.times:
            return super().build(variables, *more, **named)
        asked = "GET https://api.digitalocean.com/v2/droplets/7: 404"
        line = f'Error waiting for droplet to become active: {asked} (request "1") not found'
        raise ImageError("`packer build` of image app failed", facts=[line])


def test_a_droplet_that_is_not_known_yet_is_asked_for_again(world: World, tmp_path: Path) -> None:
    """The bake begins again, and gives up at last with what DigitalOcean said."""
    lock, catalog = find_lock(world), world.make_target().images
    packer = HastyPacker(world, 3)
    with pytest.raises(ImageError, match="DigitalOcean refused the bake of app"):
        catalog.bake(make_request(tmp_path, lock=lock), packer)
    assert packer.begun == 3
    packer = HastyPacker(world, 2)
    assert catalog.bake(make_request(tmp_path, lock=lock), packer).version == VERSION
    assert (packer.begun, list_left(world)) == (3, NOTHING)


@pytest.mark.parametrize(
    ("code", "said", "kind", "what"),
    [
        (
            422,
            "creating this/these droplet(s) will exceed your droplet limit",
            ImageError,
            "The account's droplet limit is reached",
        ),
        (
            403,
            "You are not authorized to perform this operation",
            SetupError,
            "The token may not do the bake of app",
        ),
        (404, "The resource you requested could not be found.", ImageError, "DigitalOcean refused"),
    ],
)
def test_what_digitalocean_refuses_a_bake_is_said_as_such(
    world: World, tmp_path: Path, code: int, said: str, kind: type[ImmutableError], what: str
) -> None:
    """Not as a mistake in the template."""
    line = f"Error creating droplet: POST https://api.digitalocean.com/v2/droplets: {code}"
    packer = FakePacker(world, fails=f'==> digitalocean.digitalocean: {line} (request "1") {said}')
    with pytest.raises(kind) as raised:
        world.make_target().images.bake(make_request(tmp_path, lock=find_lock(world)), packer)
    assert raised.value.what.startswith(what)
    assert said in "\n".join(raised.value.facts)
    assert list_left(world) == NOTHING


def test_names_say_whose_a_bake_is(tmp_path: Path) -> None:
    """The longest name of an image fits, and nobody else's name is read as a bake's."""
    request = make_request(tmp_path, image="a-name-of-20-letters")
    name = bakes.name_bake(request)
    assert len(name) < 64
    assert bakes.read_bake(name) == bakes.describe_bake(request)
    assert bakes.read_bake("bake-app-of-somebody") == {}


def make_bake(world: World, name: str, key: str) -> None:
    """Make what a bake makes: tag, firewall, key, droplet and snapshot."""
    world.call("POST", "tags", {"name": name})
    rule = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["10.0.0.0/8"]}}
    world.call("POST", "firewalls", {"name": name, "tags": [name], "inbound_rules": [rule]})
    world.call("POST", "account/keys", {"name": name, "public_key": f"ssh-ed25519 {key}"})
    body = {"name": name, "region": REGION, "size": "s-1vcpu-1gb", "image": DEBIAN}
    world.call("POST", "droplets", {**body, "tags": [name]})
    put_snapshot(world, name)


def test_what_a_killed_bake_left_is_removed_by_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a dead bake has made goes; what one has made that lives stays.

    Also of one on this machine: another run may bake another version of the image.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ours = bakes.name_machine()
    names = {
        "killed": f"bake-app-{'0' * 12}-{ours}-{LATER}",
        "same": f"bake-app-{VERSION}-{ours}-{LATER}",
        "dead": f"bake-app-{VERSION}-{STRANGER}-{EARLY}",
        "alive": f"bake-app-{'2' * 12}-{STRANGER}-{LATER}",
        "other": f"bake-app-{'1' * 12}-{ours}-{LATER}",
        "base": f"bake-base-{VERSION}-{STRANGER}-{EARLY}",
    }
    for number, name in enumerate(names.values()):
        make_bake(world, name, f"AAA{number}")
    said: list[str] = []
    request = make_request(tmp_path, lock=find_lock(world), say=said.append)
    with (
        hold_version("digitalocean", "app", VERSION, print),
        hold_version("digitalocean", "app", "1" * 12, print),
    ):
        world.make_target().images.bake(request, FakePacker(world))
    left = sorted(names[word] for word in ("alive", "other", "base"))
    found = {kind: sorted(names) for kind, names in list_left(world).items()}
    assert found == dict.fromkeys(IDS, left)
    assert f"removes what a killed run left: droplet {names['dead']}" in said


def test_of_two_runs_that_begin_together_the_first_bakes(world: World, tmp_path: Path) -> None:
    """The key that the account had first says so; the other takes its image when it is there."""
    world.call("POST", "account/keys", {"name": ALIVE, "public_key": "ssh-ed25519 AAAA"})

    catalog, packer = world.make_target().images, FakePacker(world)
    request = make_request(tmp_path, lock=find_lock(world))
    made: list[str] = []

    def say(line: str) -> None:
        if "another run bakes" in line:
            made.append(make_image(world))

    found = catalog.bake(replace(request, say=say), packer)
    assert ([found.id], packer.given) == (made, {})
    assert list_left(world) == {**NOTHING, "ssh_keys": [ALIVE]}
