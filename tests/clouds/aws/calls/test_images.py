"""The aws target's images on an emulated account: catalog, locks, bakes and what they leave."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from harness.aws.aws_world import REGION, find_client, make_target, start_emulation
from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest
from immutable_servers.errors import ImageError, SettingsError
from immutable_servers.targets.aws import images
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.images import (
    render_description,
    render_facts,
    render_manifest,
)
from immutable_servers.targets.aws.names import PREFIX, list_tags, name_image
from immutable_servers.targets.aws.settings import DEBIAN_OWNER
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.shared.bake_locks import hold_version

BAKE, BAKE_ENDS, BAKE_HOST = (f"{PREFIX}{word}" for word in (bakes.BAKE, ends.BAKE, bakes.HOST))
find_regions = Api.find_regions
LINEAGE = {
    "image": "app",
    "version": "3f2a9c41d0e7",
    "parents": {"base": "5c0032482a90"},
    "commit": "abc",
    "clean": True,
    "baked_at": "2026-01-31T12:00:00Z",
}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run on an emulated account with two regions: each takes a second to be emulated."""
    monkeypatch.setattr(Api, "find_regions", lambda _api: [REGION, "us-east-1"])
    with start_emulation():
        yield


def test_every_enabled_region_is_asked() -> None:
    """The regions are the account's, not a list of ours."""
    assert {REGION, "us-east-1", "ap-southeast-2"} <= set(find_regions(make_target().api))


def make_ami(lineage: Mapping[str, Any], region: str = REGION, *, whole: bool = True) -> str:
    """Make an AMI as Packer does: it is tagged last."""
    ec2 = find_client("ec2", region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    made: str = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name=name_image(lineage["image"], lineage["version"]),
        Description=render_description(lineage["parents"]),
    )["ImageId"]
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    if whole:
        ec2.create_tags(Resources=[made], Tags=list_tags(render_facts(lineage)))
    return made


def test_an_artifact_is_found_by_image_and_version() -> None:
    """An AMI that Packer has finished is found with its lineage; another version is not."""
    ami = make_ami(LINEAGE)
    found = make_target().images.find("app", "3f2a9c41d0e7")
    assert found is not None
    assert (found.id, found.parents) == (ami, {"base": "5c0032482a90"})
    assert found.facts["commit"] == "abc"
    assert found.facts["clean"] is True
    assert make_target().images.find("app", "000000000000") is None
    assert make_target().images.find("base", "3f2a9c41d0e7") is None


def test_a_half_baked_ami_is_no_artifact() -> None:
    """What a killed bake left has no tags, so it is not found, and is baked again."""
    make_ami(LINEAGE, whole=False)
    assert make_target().images.find("app", "3f2a9c41d0e7") is None
    assert make_target().images.list() == []


def test_the_catalog_lists_what_is_ours() -> None:
    """AMIs of ours, and none of the account's others."""
    make_ami(LINEAGE)
    make_ami({**LINEAGE, "image": "base", "parents": {}})
    assert {one.image for one in make_target().images.list()} == {"app", "base"}


def test_the_inputs_of_a_version_are_found() -> None:
    """They are those of its bake; none when nobody wrote them, or they are damaged, or too many."""
    catalog, ami = make_target().images, make_ami(LINEAGE)
    artifact = catalog.list()[0]
    assert catalog.find_manifest(artifact) == {}
    files = {f"app/{number}.py": sha256(str(number).encode()).hexdigest() for number in range(100)}
    find_client("ec2").create_tags(
        Resources=[ami], Tags=list_tags(render_manifest({"files": files}))
    )
    assert catalog.find_manifest(artifact) == {"files": files}
    find_client("ec2").delete_tags(Resources=[ami], Tags=[{"Key": f"{PREFIX}{images.MANIFEST}01"}])
    assert catalog.find_manifest(artifact) == {}
    assert catalog.find_manifest(replace(artifact, id="ami-00000000000000000")) == {}
    more = {f"{key}-{number}": key[::-1] + str(number) for key in files for number in range(20)}
    many = {key: sha256(value.encode()).hexdigest() for key, value in more.items()}
    assert render_manifest({"files": many}) == {}


def test_a_mark_comes_and_goes() -> None:
    """A mark is a tag; an empty value takes it away."""
    make_ami(LINEAGE)
    catalog = make_target().images
    for value, marks in (("prod", {"promoted": "prod"}), ("", {})):
        found = catalog.find("app", "3f2a9c41d0e7")
        assert found
        catalog.mark(found, "promoted", value)
        again = catalog.find("app", "3f2a9c41d0e7")
        assert again
        assert again.facts["marks"] == marks


def test_delete_leaves_no_ami_and_no_snapshot_in_any_region() -> None:
    """Copies in other regions go with the artifact, their snapshots too."""
    copy = "us-east-1"
    before = {
        region: len(find_client("ec2", region).describe_snapshots(OwnerIds=["self"])["Snapshots"])
        for region in (REGION, copy)
    }
    make_ami(LINEAGE)
    make_ami(LINEAGE, copy)
    catalog = make_target().images
    found = catalog.find("app", "3f2a9c41d0e7")
    assert found
    catalog.delete(found)
    for region, count in before.items():
        ec2 = find_client("ec2", region)
        assert ec2.describe_images(Owners=["self"])["Images"] == []
        assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == count
    catalog.delete(found)  # what is gone is no error


def test_what_is_in_use_is_not_deleted() -> None:
    """A server that runs it, in any region, and an image that was baked from it are named."""
    make_ami({**LINEAGE, "image": "base", "version": "5c0032482a90", "parents": {}})
    app = make_ami(LINEAGE)
    catalog = make_target().images
    base = catalog.find("base", "5c0032482a90")
    assert base
    with pytest.raises(ImageError, match=f"{app} was baked from it"):
        catalog.delete(base)
    run = find_client("ec2").run_instances(ImageId=app, MinCount=1, MaxCount=1)["Instances"][0]
    found = catalog.find("app", "3f2a9c41d0e7")
    assert found
    with pytest.raises(ImageError, match=run["InstanceId"]):
        catalog.delete(found)


def test_a_shared_ami_is_found_without_its_tags() -> None:
    """Another account sees name and description: image, version and parents are in them."""
    seen = {
        "ImageId": "ami-1",
        "Name": name_image("app", "3f2a9c41d0e7"),
        "Description": render_description(LINEAGE["parents"]),  # type: ignore[arg-type]
        "OwnerId": "210987654321",
        "State": "available",
        "CreationDate": "2026-01-31T12:00:00Z",
    }
    catalog = make_target(image_owners=["210987654321"]).images
    (found,) = catalog._read_all([seen])  # type: ignore[attr-defined]
    assert (found.image, found.version, found.parents) == (
        "app",
        "3f2a9c41d0e7",
        {"base": "5c0032482a90"},
    )
    assert make_target().images._read_all([seen]) == []  # type: ignore[attr-defined]


def register(name: str, region: str = REGION, architecture: str = "x86_64") -> str:
    """Make an AMI of a name."""
    ec2 = find_client("ec2", region)
    filters = [{"Name": "architecture", "Values": [architecture]}]
    image = ec2.describe_images(Owners=["amazon"], Filters=filters)["Images"][0]["ImageId"]
    run = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    made: str = ec2.create_image(InstanceId=run, Name=name)["ImageId"]
    return made


def test_the_lock_names_the_newest_ami_of_every_region() -> None:
    """The newest of the highest release, by owner and name, with an id for each region."""
    register("debian-12-amd64-20260901-1")
    register("debian-13-amd64-20260101-1")
    register("debian-13-arm64-20261001-1", architecture="arm64")
    register("debian-sid-amd64-daily-20261101-1")
    newest = register("debian-13-amd64-20260801-1")
    elsewhere = register("debian-13-amd64-20260801-1", "us-east-1")
    owner = find_client("ec2").describe_images(ImageIds=[newest])["Images"][0]["OwnerId"]
    said: list[str] = []
    wanted = {"upstream": {"suite": "stable", "owner": owner}}
    entry = make_target().images.find_upstream(wanted, said.append)
    assert entry == {
        "owner": owner,
        "name": "debian-13-amd64-20260801-1",
        "amis": {REGION: newest, "us-east-1": elsewhere},
    }
    assert any("debian-13-amd64-20260801-1" in line for line in said)
    arm = make_target(architecture="arm64").images.find_upstream(wanted, said.append)
    assert arm["name"] == "debian-13-arm64-20261001-1"


def test_an_upstream_that_is_not_there_is_said() -> None:
    """Owner and name are in the error; Debian's own account is the usual owner."""
    with pytest.raises(ImageError, match=DEBIAN_OWNER):
        make_target().images.find_upstream({"upstream": {"suite": "trixie"}}, print)
    with pytest.raises(ImageError, match="no suite 'woody'"):
        make_target().images.find_upstream({"upstream": {"suite": "woody"}}, print)


class FakePacker(Packer):
    """Makes the AMI that the variables name, in place of the real Packer (see `tests/clouds`)."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self.key = ""

    def build(
        self, variables: Mapping[str, str], watch: Callable[[str], None] | None = None
    ) -> Mapping[str, Any]:
        """Remember the variables."""
        self.given = dict(variables)
        if login := self.given.get("login"):
            self.key = Path(login).read_text()
        lineage = json.loads(variables["lineage"])
        make_ami(lineage)
        return {}


def make_request(tmp_path: Path, parent: Artifact | None, lock: Mapping[str, Any]) -> BakeRequest:
    """Return a request as `images.bake` makes it."""
    return BakeRequest(
        image="app",
        version="3f2a9c41d0e7",
        template=tmp_path,
        sources=tmp_path,
        parent=parent,
        lock=lock,
        variables={},
        secrets={},
        lineage=LINEAGE,
        manifest={},
        log=tmp_path / "log",
        deadline=60,
        say=lambda _line: None,
    )


def test_a_bake_starts_from_the_locked_ami_of_its_region(tmp_path: Path) -> None:
    """What Packer is handed: AMI, name, tags; without a parent the login is Packer's own."""
    packer = FakePacker()
    lock = {"amis": {REGION: "ami-locked", "us-east-1": "ami-other"}}
    settings = {"kms_key": "alias/ours", "share_with": ["123456789012"]}
    artifact = make_target(**settings).images.bake(make_request(tmp_path, None, lock), packer)
    assert artifact.version == "3f2a9c41d0e7"
    given = packer.given
    assert given["source_ami"] == "ami-locked"
    assert given["ami_name"] == "immutable-servers/app/3f2a9c41d0e7"
    assert json.loads(given["share_with"]) == ["123456789012"]
    assert json.loads(given["tags"])["immutable-servers:image"] == "app"
    assert "login" not in given
    with pytest.raises(ImageError, match="no AMI for eu-central-1"):
        make_target().images.bake(make_request(tmp_path, None, {"amis": {}}), packer)


def test_a_child_is_baked_through_an_open_window(tmp_path: Path) -> None:
    """A sealed parent gets launch data with a key that is gone after the bake."""
    packer = FakePacker()
    parent = Artifact("base", "5c0032482a90", "ami-parent")
    make_target().images.bake(make_request(tmp_path, parent, {}), packer)
    assert packer.given["source_ami"] == "ami-parent"
    launch = json.loads(packer.given["user_data"])
    assert launch["login_key"].startswith("ssh-ed25519 ")
    assert time.time() < launch["window_ends"] <= time.time() + 60
    assert "PRIVATE KEY" in packer.key
    assert not Path(packer.given["login"]).exists()


def make_bake(name: str, tags: Mapping[str, str]) -> str:
    """Make what Packer makes for a bake; return the instance."""
    ec2, listed = find_client("ec2"), list_tags({BAKE: "app", **tags})
    ami = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def specify(kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": listed}]

    ec2.create_key_pair(KeyName=name, TagSpecifications=specify("key-pair"))
    group = ec2.create_security_group(
        GroupName=name, Description="x", TagSpecifications=specify("security-group")
    )["GroupId"]
    launched = ec2.run_instances(
        ImageId=ami,
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=[group],
        TagSpecifications=specify("instance"),
    )
    return str(launched["Instances"][0]["InstanceId"])


def test_what_a_killed_bake_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instance, key and security group of a dead bake go; those of one that lives stay.

    Also of one on this machine: another run may bake another version of the image.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ours, later = bakes.name_machine(), "4000000000"
    version = f"{PREFIX}version"
    tagged: dict[str, dict[str, str]] = {
        "killed": {BAKE_HOST: ours, version: "000000000000"},
        "same": {BAKE_HOST: ours, version: "3f2a9c41d0e7"},
        "dead": {BAKE_HOST: "dead", BAKE_ENDS: "1"},
        "alive": {BAKE_HOST: "alive"},
        "other": {BAKE_HOST: ours, version: "111111111111"},
    }
    made = {name: make_bake(name, {BAKE_ENDS: later, **tags}) for name, tags in tagged.items()}
    ec2 = find_client("ec2")
    ami = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    request = make_request(tmp_path, None, {"amis": {REGION: ami}})
    with (
        hold_version("aws", "app", request.version, print),
        hold_version("aws", "app", "111111111111", print),
    ):
        make_target().images.bake(request, FakePacker())
    running = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
    )["Reservations"]
    left = {one["Instances"][0]["InstanceId"] for one in running}
    assert left == {made["alive"], made["other"]}
    assert {one["KeyName"] for one in ec2.describe_key_pairs()["KeyPairs"]} == {"alive", "other"}
    groups = {one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    assert groups == {"default", "alive", "other"}


def test_an_encrypted_image_is_shared_with_a_key_of_ours() -> None:
    """AWS's own key cannot be used by another account: that is said in the settings."""
    with pytest.raises(ValueError, match="share_with needs a kms_key"):
        make_target(share_with=["123456789012"])
    with pytest.raises(ValueError, match="share_with and copy_to exclude each other"):
        make_target(share_with=["123456789012"], kms_key="alias/images", copy_to=["us-east-1"])


def test_sizes_are_words_or_instance_types() -> None:
    """Small fits the architecture, own words win, and AWS's words pass."""
    assert make_target().resolve_size("small") == {"instance_type": "t3.small"}
    arm = make_target(architecture="arm64", sizes={"huge": "c7g.4xlarge"})
    assert arm.resolve_size("small") == {"instance_type": "t4g.small"}
    assert arm.resolve_size("huge") == {"instance_type": "c7g.4xlarge"}
    assert arm.resolve_size("c7g.medium") == {"instance_type": "c7g.medium"}
    with pytest.raises(SettingsError, match=r"c7i\.large"):
        make_target().resolve_size("gigantic")
