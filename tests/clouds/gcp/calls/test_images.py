"""The gcp target's images on an emulated project: catalog, locks, bakes and what they leave."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

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
from harness.gcp.cloud import PROJECT, REGION, ZONES
from harness.gcp.gcp_world import World
from immutable_servers.contract.images import REVOKED
from immutable_servers.errors import ImageError, ImmutableError, SettingsError, SetupError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.images import MARKS, render_description
from immutable_servers.targets.gcp import verifier
from immutable_servers.targets.gcp.bake import KINDS, render_labels
from immutable_servers.targets.gcp.names import LABELS, MARK, name_image
from immutable_servers.targets.shared.bake_locks import hold_version

MANIFEST = {"image": "app", "lock": "{}"}
PLACE = f"projects/{PROJECT}/global/images"
UPSTREAM = "projects/debian-cloud/global/images/debian-13-trixie-v20261112"


def make_image(
    world: World, lineage: Mapping[str, Any], manifest: Mapping[str, str] | None = None
) -> str:
    """Make an image as Packer does: of a disk, with labels and description; return its id."""
    request = make_request(
        Path(), image=lineage["image"], version=lineage["version"], manifest=manifest or {}
    )
    said = render_description(lineage, **{MARK: 1})
    words = {"labels": render_labels(request), "description": said}
    return insert_image(world, name_image(lineage["image"], lineage["version"]), words)


def insert_image(world: World, name: str, words: Mapping[str, Any]) -> str:
    """Make an image of a disk that does not stay."""
    disk = f"of-{name}"
    make_disk(world, disk, ZONES[0])
    source = f"projects/{PROJECT}/zones/{ZONES[0]}/disks/{disk}"
    world.insert("images", {"name": name, "sourceDisk": source, **words})
    world.call("disks", "delete", zone=ZONES[0], disk=disk)
    return f"{PLACE}/{name}"


def make_disk(world: World, name: str, zone: str) -> None:
    """Make an empty disk."""
    world.call("disks", "insert", zone=zone, body={"name": name, "sizeGb": "10"})


def list_names(world: World, collection: str) -> set[str]:
    """Return the names of what there is of a kind, in all zones."""
    found = world.make_target().api.list(
        collection, "list" if collection in {"firewalls", "images"} else "aggregatedList"
    )
    return {one["name"] for one in found if not one["name"].startswith("default")}


def find_lock(world: World) -> dict[str, Any]:
    """Return the lock entry of the newest Debian."""
    return world.make_target().images.find_upstream({}, {}, lambda _line: None)


class FakePacker(shared.FakePacker):
    """Remembers who may log in meanwhile."""

    taken = (
        "googlecompute.gcp: Image im-app-x already exists.",
        "googlecompute.gcp: Error 409: 'projects/p/global/images/im-app-x' already exists",
    )

    def __init__(self, world: World, *, fails: str = "") -> None:
        super().__init__(fails=fails)
        self.world = world
        self.ways: Sequence[Mapping[str, Any]] = ()

    def make(self) -> None:
        """Make the image that the variables name."""
        self.ways = self.world.make_target().api.list("firewalls", filter='name eq "bake-.*"')
        labels = json.loads(self.given["image_labels"])
        words = {"labels": labels, "description": self.given["image_description"]}
        insert_image(self.world, self.given["image_name"], words)


class TestImages(Images[World]):
    """An image that is being made is PENDING; IAP's tunnels are gcloud's."""

    through: ClassVar[Mapping[str, Any]] = {"build_through": "iap"}
    tool = "gcloud"
    parent = f"{PLACE}/im-base-{PARENT}"

    def make_packer(self, world: World, fails: str = "") -> FakePacker:
        """Return one that makes images of the project."""
        return FakePacker(world, fails=fails)

    def find_lock(self, world: World) -> Mapping[str, Any]:
        """Return the entry of Google's newest Debian."""
        return find_lock(world)

    def begin_image(self, world: World) -> str:
        """Make an image that is not READY yet."""
        place = make_image(world, LINEAGE)
        world.cloud.put(place, status="PENDING")
        return place

    def finish_image(self, world: World, image: str) -> None:
        """Have it be READY."""
        world.cloud.put(image, status="READY")

    def read_launch(self, given: Mapping[str, str]) -> Mapping[str, Any]:
        """It is in the metadata; the disk is as large as the parent's."""
        assert (given["source_project"], given["source_image"]) == (PROJECT, f"im-base-{PARENT}")
        assert given["disk_size"] == "12"
        return dict(json.loads(json.loads(given["metadata"])["immutable-launch"]))


# catalog
def test_an_artifact_is_found_by_image_and_version(world: World) -> None:
    """A whole image is found with its lineage and inputs by one call; another version is not."""
    made = make_image(world, LINEAGE, MANIFEST)
    catalog = world.make_target().images
    world.cloud.read_new()
    found = catalog.find("app", VERSION, DIGEST)
    calls = [event["call"] for event in world.cloud.read_new() if event["event"] == "api"]
    assert calls == ["compute.images.get"]
    assert found is not None
    assert (found.id, found.parents, found.digest) == (made, {"base": PARENT}, DIGEST)
    assert (found.facts["commit"], found.facts["clean"]) == ("abc", True)
    assert catalog.find_manifest(found) == MANIFEST
    assert catalog.measure(found) == 10 * 1024**3
    assert catalog.find("app", "000000000000", "") is None
    assert catalog.find("base", VERSION, "") is None


def test_an_image_is_trusted_by_its_digest_and_not_by_its_name(world: World) -> None:
    """One that somebody gave the name is refused, with both digests, and is not baked over."""
    made = make_image(world, {**LINEAGE, "digest": ANOTHER})
    catalog = world.make_target().images
    with pytest.raises(ImageError, match="another than this run wants") as raised:
        catalog.find("app", VERSION, DIGEST)
    assert raised.value.facts[:2] == (f"Wanted: digest {DIGEST}", f"{made}: digest {ANOTHER}")
    insert_image(world, name_image("base", VERSION), {"description": "a copy"})
    assert catalog.find("base", VERSION, DIGEST) is None
    with pytest.raises(ImageError, match="does not say what it was baked from"):
        catalog.refuse_unproven("base", VERSION)


def test_the_catalog_lists_what_is_ours_and_whole(world: World) -> None:
    """Oldest first; an image that is being made, or that failed, is none."""
    make_image(world, {**LINEAGE, "image": "base", "parents": {}})
    time.sleep(1.1)  # Google's times have no finer parts
    make_image(world, LINEAGE)
    insert_image(world, "im-of-somebody", {})
    catalog = world.make_target().images
    assert [one.image for one in catalog.list()] == ["base", "app"]
    world.cloud.put(f"{PLACE}/{name_image('app', VERSION)}", status="PENDING")
    assert [one.image for one in catalog.list()] == ["base"]
    assert catalog.find("app", VERSION, "") is None


def test_a_mark_comes_and_goes(world: World) -> None:
    """Any text may be one, other labels stay, and somebody else's change in between is kept."""
    name = make_image(world, LINEAGE, MANIFEST).rpartition("/")[2]
    catalog = world.make_target().images
    artifact = catalog.find("app", VERSION, DIGEST)
    assert artifact is not None
    reason = "CVE-2026-1: 'kernel' & all — see https://example.com/Ä"
    world.cloud.set_fault("compute.images.setLabels", "conditionNotMet", code=412)
    catalog.mark(artifact, REVOKED, reason)
    catalog.mark(artifact, "kept-by", "ops")
    again = catalog.find("app", VERSION, DIGEST)
    assert again is not None
    assert again.marks == {REVOKED: reason, "kept-by": "ops"}
    assert catalog.find_manifest(again) == MANIFEST
    catalog.mark(artifact, REVOKED, "")
    catalog.mark(artifact, "kept-by", "")
    labels = world.call("images", "get", image=name)["labels"]
    assert labels == render_labels(make_request(Path(), manifest=MANIFEST))


def test_damaged_marks_are_as_good_as_a_revocation(world: World) -> None:
    """Nothing is launched from an image of which nobody knows whether it is revoked."""
    make_image(world, LINEAGE)
    name = name_image("app", VERSION)
    world.cloud.put(f"{PLACE}/{name}", labels={f"{LABELS.prefix}{MARKS}00": "damaged"})
    with pytest.raises(ImageError, match=r"revoked \(its marks cannot be read"):
        world.make_target().images.refuse_revoked("Nothing is launched", {"app": VERSION})


def test_what_is_in_use_is_not_deleted(world: World) -> None:
    """An instance and a template hold an image, and so does an image that was baked from it."""
    base = {**LINEAGE, "image": "base", "version": PARENT, "parents": {}}
    make_image(world, base)
    make_image(world, LINEAGE)
    catalog = world.make_target().images
    parent, child = (
        catalog.find(image, version, DIGEST)
        for image, version in (("base", PARENT), ("app", VERSION))
    )
    assert parent
    assert child
    with pytest.raises(ImageError, match="cannot be deleted") as raised:
        catalog.delete(parent)
    assert raised.value.facts == (f"{child.id} was baked from it",)
    disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": child.id}}
    server = {
        "machineType": f"zones/{ZONES[0]}/machineTypes/e2-small",
        "disks": [disk],
        "networkInterfaces": [{"network": f"projects/{PROJECT}/global/networks/default"}],
    }
    world.call("instances", "insert", zone=ZONES[0], body={"name": "web-x7k2", **server})
    template = {"name": "web", "properties": {**server, "machineType": "e2-small"}}
    world.insert("instanceTemplates", template)
    with pytest.raises(ImageError, match="cannot be deleted") as raised:
        catalog.delete(child)
    assert raised.value.facts == (
        "the server web-x7k2 runs it",
        "the instance template web launches it",
    )
    world.call("instances", "delete", zone=ZONES[0], instance="web-x7k2")
    world.call("instanceTemplates", "delete", instanceTemplate="web")
    catalog.delete(child)
    catalog.delete(parent)
    assert list_names(world, "images") == set()


# locks
@pytest.mark.parametrize(
    ("settings", "family"), [({}, "debian-13"), ({"architecture": "arm64"}, "debian-13-arm64")]
)
def test_the_lock_names_the_newest_image_of_an_architecture(
    world: World, settings: Mapping[str, Any], family: str
) -> None:
    """By its name and its id, which no other image ever has."""
    catalog = world.make_target(**settings).images
    name = f"{family.replace('13', '13-trixie')}-v20261112"
    for upstream in ({}, {"suite": "stable"}, {"suite": "trixie"}):
        found = catalog.find_upstream({"upstream": upstream}, {}, lambda _line: None)
        assert found["image"] == f"projects/debian-cloud/global/images/{name}"
        there = world.call("images", "get", project="debian-cloud", image=name)
        assert (found["id"], found["created"]) == (there["id"], there["creationTimestamp"])


@pytest.mark.parametrize("upstream", [{"suite": "sid"}, {"image": "ubuntu"}, {"suite": "forky"}])
def test_an_upstream_that_is_not_there_is_said(world: World, upstream: Mapping[str, str]) -> None:
    """A suite that Google does not have, and what is no suite of Debian's."""
    with pytest.raises(ImageError) as raised:
        world.make_target().images.find_upstream({"upstream": upstream}, {}, lambda _line: None)
    assert raised.value.todo.startswith("Correct `upstream`")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"deprecated": {"state": "OBSOLETE"}}, "obsolete"),
        ({"deprecated": {"state": "DELETED"}}, "deleted"),
        ({"id": "7"}, "another image of that name"),
    ],
)
def test_a_lock_can_die(world: World, tmp_path: Path, found: Mapping[str, Any], said: str) -> None:
    """The bake says so before it makes anything; one that is only deprecated may be used."""
    lock = find_lock(world)
    world.cloud.put(UPSTREAM, deprecated={"state": "DEPRECATED"})
    catalog, packer = world.make_target().images, FakePacker(world)
    catalog.bake(
        make_request(tmp_path, image="base", lineage={**LINEAGE, "image": "base"}, lock=lock),
        packer,
    )
    assert packer.given["source_image"] == "debian-13-trixie-v20261112"
    world.cloud.put(UPSTREAM, **found)
    with pytest.raises(ImageError, match="lock names cannot be used any more") as raised:
        catalog.bake(make_request(tmp_path, lock=lock), FakePacker(world))
    assert said in raised.value.facts[0]
    assert "./immutable update" in raised.value.todo
    gone = {**lock, "image": f"{lock['image']}-gone"}
    with pytest.raises(ImageError, match="lock names cannot be used any more") as raised:
        catalog.bake(make_request(tmp_path, lock=gone), FakePacker(world))
    assert raised.value.facts[0].endswith(": deleted")


# bakes
def test_what_packer_is_handed(world: World, tmp_path: Path) -> None:
    """Where the instance stands, what it starts from, who ends it, and what the image will say."""
    packer, lock = FakePacker(world), find_lock(world)
    own = {"volume": 20, "build_size": "large", "build_zone": ZONES[2], "network": "default"}
    catalog = world.make_target(**own, architecture="arm64").images
    artifact = catalog.bake(make_request(tmp_path, lock=lock), packer)
    assert (artifact.id, artifact.digest) == (f"{PLACE}/im-app-{VERSION}", DIGEST)
    given = packer.given
    assert {key: given[key] for key in given if key not in {"name", "image_description"}} == {
        "project": PROJECT,
        "zone": ZONES[2],
        "machine_type": "c4a-standard-4",
        "disk_type": "hyperdisk-balanced",
        "disk_size": "20",
        "network": "default",
        "subnetwork": "",
        "external": "true",
        "through": "ssh",
        "service_account": "",
        "seconds": "60",
        "labels": json.dumps({"immutable-image": "app", "immutable-version": VERSION}),
        "metadata": json.dumps({"block-project-ssh-keys": "TRUE", "enable-oslogin": "FALSE"}),
        "source_project": "debian-cloud",
        "source_image": "debian-13-trixie-v20261112",
        "image_name": f"im-app-{VERSION}",
        "image_family": "im-app",
        "image_architecture": "ARM64",
        "image_labels": json.dumps(render_labels(make_request(tmp_path))),
    }
    assert len(given["name"]) < 64


class RefusedPacker(FakePacker):
    """Prints what the plugin prints of an instance that Google does not start, zone by zone."""

    def __init__(self, world: World, **refused: str) -> None:
        super().__init__(world)
        self.refused, self.asked = refused, list[str]()

    def build(self, variables: Mapping[str, str], *more: Any, **named: Any) -> Mapping[str, Any]:  # noqa: ANN401 - the base's
        """Fail in a zone that refuses."""
        zone = variables["zone"]
        self.asked.append(zone)
        if said := self.refused.get(zone[-1]):
            make_disk(self.world, variables["name"], zone)
            facts = ["It printed last:", f"==> googlecompute.gcp: * {said}"]
            raise ImageError("`packer build` failed", facts=facts, todo="Correct packer/app/")
        return super().build(variables, *more, **named)


NO_ROOM = "The zone 'projects/p/zones/z' does not have enough resources available to fulfill it."


def test_a_bake_goes_on_where_there_is_room(world: World, tmp_path: Path) -> None:
    """The next zone is tried, and nothing is left in the full one."""
    said: list[str] = []
    packer = RefusedPacker(world, a=NO_ROOM)
    request = make_request(tmp_path, lock=find_lock(world), say=said.append)
    assert world.make_target().images.bake(request, packer).version == VERSION
    assert packer.asked == [*ZONES[:2]]
    assert f"{ZONES[0]} has no room for such a machine now: tries the next zone" in said
    assert list_names(world, "disks") == list_names(world, "firewalls") == set()


@pytest.mark.parametrize(
    ("said", "zones", "kind", "what"),
    [
        (NO_ROOM, 3, ImageError, "Google has no room for such a server now"),
        ("Quota 'CPUS' exceeded. Limit: 8.0 in region europe-west3.", 1, ImageError, "A quota of"),
        (
            "googleapi: Error 403: Required 'compute.disks.create' permission for 'projects/p'",
            1,
            SetupError,
            "A permission is missing: compute.disks.create",
        ),
        (
            "Error creating it: googleapi: Error 404: The resource 'diskTypes/x' was not found",
            1,
            ImageError,
            "Google refused the bake of app",
        ),
        ("Script exited with non-zero exit status: 1.", 1, ImageError, "`packer build` failed"),
    ],
)
def test_what_google_refuses_a_bake_is_said_as_such(
    world: World, tmp_path: Path, said: str, zones: int, kind: type[ImmutableError], what: str
) -> None:
    """Not as a mistake in the template; what is one stays one."""
    packer = RefusedPacker(world, a=said, b=said, c=said)
    with pytest.raises(kind) as raised:
        world.make_target().images.bake(make_request(tmp_path, lock=find_lock(world)), packer)
    assert packer.asked == [*ZONES[:zones]]
    assert raised.value.what.startswith(what)
    assert said in "\n".join(raised.value.facts)


def test_a_zone_of_the_settings_without_such_a_machine_is_refused(world: World) -> None:
    """In the preview: Packer's plugin would know it only in the update."""
    world.make_target(build_zone=ZONES[2]).images.refuse_unfit(None)
    with pytest.raises(SettingsError, match="No zone of the servers has machines"):
        world.make_target(build_zone=f"{REGION}-q").images.refuse_unfit(None)


WAYS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "usual": ({"verify_from": []}, {"through": "ssh", "let_in": ["203.0.113.7/32"]}),
    "named": (
        {"verify_from": ["2001:db8::/32", "198.51.100.7/24"]},
        {"through": "ssh", "let_in": ["198.51.100.0/24"]},
    ),
    "iap": ({"build_through": "iap"}, {"through": "iap", "let_in": ["35.235.240.0/20"]}),
    "no addresses": (
        {"public_addresses": False},
        {"through": "iap", "external": "false", "let_in": ["35.235.240.0/20"]},
    ),
    "private": (
        {"build_through": "private", "public_addresses": False, "verify_from": []},
        {"through": "private", "external": "false", "let_in": ["10.132.0.0/20"]},
    ),
}


@pytest.mark.parametrize("case", WAYS)
def test_a_bake_lets_in_who_bakes_and_nobody_after(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """The rule is for this bake's instance alone, and gone when the bake is over or has failed."""
    monkeypatch.setattr(verifier, "find_verifier", lambda: "203.0.113.7/32")
    settings, wanted = WAYS[case]
    packer, lock = FakePacker(world), find_lock(world)
    world.make_target(**settings).images.bake(make_request(tmp_path, lock=lock), packer)
    (rule,) = packer.ways
    seen = {**packer.given, "let_in": rule["sourceRanges"]}
    assert {key: seen[key] for key in wanted} == wanted
    assert rule["name"] == packer.given["name"]
    assert rule["targetTags"] == [rule["name"]]
    assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    with pytest.raises(ImageError):
        world.make_target(**settings).images.bake(
            make_request(tmp_path, lock=lock, version="0" * 12),
            FakePacker(world, fails="a script failed"),
        )
    assert list_names(world, "firewalls") == set()


def test_names_say_whose_a_bake_is(tmp_path: Path) -> None:
    """The longest name of an image fits, and nobody else's name is read as a bake's."""
    request = make_request(tmp_path, image="a-name-of-20-letters")
    name = bakes.name_bake(request)
    assert len(name) < 64
    assert bakes.read_bake(name) == bakes.describe_bake(request)
    assert bakes.read_bake("bake-app-of-somebody") == {}


def make_bake(world: World, name: str) -> None:
    """Make what a bake makes: instance, disk and rule, all of one name."""
    source = "projects/debian-cloud/global/images/family/debian-13"
    disk = {"boot": True, "initializeParams": {"sourceImage": source, "diskName": name}}
    network = f"projects/{PROJECT}/global/networks/default"
    body = {
        "name": name,
        "machineType": f"zones/{ZONES[0]}/machineTypes/e2-small",
        "disks": [{**disk, "autoDelete": False}],
        "networkInterfaces": [{"network": network}],
    }
    world.call("instances", "insert", zone=ZONES[0], body=body)
    allowed = [{"IPProtocol": "tcp", "ports": ["22"]}]
    rule = {"name": name, "network": network, "allowed": allowed, "sourceRanges": ["10.0.0.0/8"]}
    world.insert("firewalls", rule)


def test_what_a_killed_bake_left_is_removed_by_the_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instance, disk and rule of a dead bake go; those of one that lives stay.

    Also of one on this machine: another run may bake another version of the image. A disk stays
    alone where Google has ended the instance.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ours, early, later, stranger = bakes.name_machine(), "0000000001", "4000000000", "0" * 12
    names = {
        "killed": f"bake-app-{'0' * 12}-{ours}-{later}",
        "same": f"bake-app-{VERSION}-{ours}-{later}",
        "dead": f"bake-app-{VERSION}-{stranger}-{early}",
        "alive": f"bake-app-{VERSION}-{stranger}-{later}",
        "other": f"bake-app-{'1' * 12}-{ours}-{later}",
        "base": f"bake-base-{VERSION}-{stranger}-{early}",
    }
    for name in names.values():
        make_bake(world, name)
    world.call("instances", "delete", zone=ZONES[0], instance=names["dead"])
    said: list[str] = []
    request = make_request(tmp_path, lock=find_lock(world), say=said.append)
    with (
        hold_version("gcp", "app", VERSION, print),
        hold_version("gcp", "app", "1" * 12, print),
    ):
        world.make_target().images.bake(request, FakePacker(world))
    left = {names[word] for word in ("alive", "other", "base")}
    for collection in KINDS:
        assert list_names(world, collection) == left
    assert f"removes what a killed run left: disk {names['dead']}" in said


def test_a_bake_without_an_address_needs_a_way_out(world: World) -> None:
    """Packages come from the internet, and a machine in the default network has none without."""
    private = {"public_addresses": False, "build_through": "private"}
    with pytest.raises(SettingsError, match="A bake without an external address"):
        world.make_target(**private).images.refuse_unfit(None)


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_failed_image_gives_its_name_to_the_next(
    world: World, tmp_path: Path, *, is_ours: bool
) -> None:
    """One that no bake of ours made is nobody's to remove."""
    place = make_image(world, LINEAGE)
    words: dict[str, Any] = {"status": "FAILED"}
    world.cloud.put(place, **words, **({} if is_ours else {"labels": None}))
    request, catalog = make_request(tmp_path, lock=find_lock(world)), world.make_target().images
    if is_ours:
        assert catalog.bake(request, FakePacker(world)).id == place
        return
    with pytest.raises(ImageError, match="is taken") as raised:
        catalog.bake(request, FakePacker(world))
    assert raised.value.facts == (f"im-app-{VERSION} has it, and no label of a bake of ours",)
