"""The aws target's images on an emulated account: catalog, locks, bakes and what they leave."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends

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
from harness.aws.aws_world import REGION, World, find_client, make_target, start_emulation
from immutable_servers.contract.digests import digest_inputs, shorten
from immutable_servers.errors import ImageError, SettingsError, SetupError
from immutable_servers.targets.aws import bake, images
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.bake import render_variables
from immutable_servers.targets.aws.faults import explain
from immutable_servers.targets.aws.images import MOST_MANIFEST, render_facts
from immutable_servers.targets.aws.names import PREFIX, TAGS, list_tags, name_image
from immutable_servers.targets.aws.settings import DEBIAN_OWNER
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.cloud import images as cloud_images
from immutable_servers.targets.cloud.images import pack_manifest
from immutable_servers.targets.shared.bake_locks import hold_version

BAKE, BAKE_ENDS, BAKE_HOST = (f"{PREFIX}{word}" for word in (bakes.BAKE, ends.BAKE, bakes.HOST))
find_regions = Api.find_regions
LOCK = {"amis": {REGION: "ami-locked"}}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run on an emulated account with two regions: each takes a second to be emulated."""
    monkeypatch.setattr(Api, "find_regions", lambda _api: [REGION, "us-east-1"])
    with start_emulation():
        yield


@pytest.fixture
def world() -> World:
    """Return what is in the account."""
    return World()


def test_every_enabled_region_is_asked() -> None:
    """The regions are the account's, not a list of ours."""
    assert {REGION, "us-east-1", "ap-southeast-2"} <= set(find_regions(make_target().api))


def make_ami(
    lineage: Mapping[str, Any],
    region: str = REGION,
    *,
    whole: bool = True,
    tags: Mapping[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - the call's own
) -> str:
    """Make an AMI as Packer does: with a bake's tags, and with its own at last."""
    ec2 = find_client("ec2", region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]
    made: str = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name=name_image(lineage["image"], lineage["version"]),
        **more,
    )["ImageId"]
    ec2.create_tags(Resources=[made], Tags=list_tags(tags or {BAKE: lineage["image"]}))
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    if whole:
        ec2.create_tags(Resources=[made], Tags=list_tags(render_facts(lineage)))
    return made


class FakePacker(shared.FakePacker):
    """Makes an AMI of the lineage."""

    taken = (
        "amazon-ebs.aws: Error creating AMI: InvalidAMIName.Duplicate: AMI name is already in use",
        "amazon-ebs.aws: Error: AMI Name: 'immutable-servers/app/x' is used by an existing AMI: a",
    )

    def make(self) -> None:
        """Make the AMI that the variables name."""
        make_ami(json.loads(self.given["lineage"]))


class TestImages(Images[World]):
    """An AMI that is being made has a bake's tags; sessions are of a plugin of AWS's tool."""

    through: ClassVar[Mapping[str, Any]] = {
        "build_through": "ssm",
        "build_instance_profile": "bake",
    }
    tool = "session-manager-plugin"
    parent = "ami-parent"

    def make_packer(self, world: World, fails: str = "") -> FakePacker:
        """Return one that makes AMIs of the account."""
        return FakePacker(fails=fails)

    def find_lock(self, world: World) -> Mapping[str, Any]:
        """Return an AMI of the region."""
        return LOCK

    def begin_image(self, world: World) -> str:
        """Make an AMI of a bake on another machine."""
        tags = {BAKE: "app", BAKE_ENDS: "4000000000", BAKE_HOST: "elsewhere"}
        return make_ami(LINEAGE, whole=False, tags=tags)

    def finish_image(self, world: World, image: str) -> None:
        """Give it its own tags."""
        facts = list_tags(render_facts(LINEAGE))
        find_client("ec2").create_tags(Resources=[image], Tags=facts)

    def read_launch(self, given: Mapping[str, str]) -> Mapping[str, Any]:
        """It is in the user data."""
        assert given["source_ami"] == "ami-parent"
        return dict(json.loads(given["user_data"]))


def test_an_artifact_is_found_by_image_and_version() -> None:
    """An AMI that Packer has finished is found with its lineage; another version is not."""
    ami = make_ami(LINEAGE)
    found = make_target().images.find("app", VERSION, "")
    assert found is not None
    assert (found.id, found.parents) == (ami, {"base": PARENT})
    assert found.facts["commit"] == "abc"
    assert found.facts["clean"] is True
    assert make_target().images.find("app", "000000000000", "") is None
    assert make_target().images.find("base", VERSION, "") is None


def test_an_ami_is_trusted_by_its_digest_and_not_by_its_name() -> None:
    """One that somebody gave the name is refused, with both digests.

    So is a forged tag of one that an early program made, which has the digest in its description.
    """
    early = json.dumps({"parents": {}, "digest": ANOTHER})
    ami = make_ami({**LINEAGE, "digest": ANOTHER}, Description=early)
    catalog = make_target().images
    with pytest.raises(ImageError, match="another than this run wants") as raised:
        catalog.find("app", VERSION, DIGEST)
    assert raised.value.facts[:2] == (f"Wanted: digest {DIGEST}", f"{ami}: digest {ANOTHER}")
    tag = {f"{PREFIX}{images.DIGEST}": DIGEST}
    find_client("ec2").create_tags(Resources=[ami], Tags=list_tags(tag))
    with pytest.raises(ImageError) as raised:
        catalog.find("app", VERSION, DIGEST)
    assert f"{ami}: digest {DIGEST} in its tags, {ANOTHER} in its desc" in raised.value.facts[1]


def test_an_early_program_s_ami_proves_its_digest_by_its_manifest() -> None:
    """Its tags hold the inputs; one without them, such as a copy, is not used for new servers."""
    inputs = {"image": "base", "sources": {}}
    digest = digest_inputs(inputs)
    early = {**LINEAGE, "image": "base", "version": shorten(digest), "digest": "", "parents": {}}
    ami, catalog = make_ami(early), make_target().images
    assert catalog.find("base", shorten(digest), digest) is None
    with pytest.raises(ImageError, match="does not say what it was baked from"):
        catalog.refuse_unproven("base", shorten(digest))
    find_client("ec2").create_tags(
        Resources=[ami], Tags=list_tags(pack_manifest(TAGS, inputs, MOST_MANIFEST))
    )
    found = catalog.find("base", shorten(digest), digest)
    assert found is not None
    assert (found.id, found.digest) == (ami, digest)


def test_a_half_baked_ami_is_no_artifact() -> None:
    """What a killed bake left has no tags, so it is not found, and is baked again."""
    make_ami(LINEAGE, whole=False)
    assert make_target().images.find("app", VERSION, "") is None
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
        Resources=[ami], Tags=list_tags(pack_manifest(TAGS, {"files": files}, MOST_MANIFEST))
    )
    assert catalog.find_manifest(artifact) == {"files": files}
    find_client("ec2").delete_tags(
        Resources=[ami], Tags=[{"Key": f"{PREFIX}{cloud_images.MANIFEST}01"}]
    )
    assert catalog.find_manifest(artifact) == {}
    assert catalog.find_manifest(replace(artifact, id="ami-00000000000000000")) == {}
    more = {f"{key}-{number}": key[::-1] + str(number) for key in files for number in range(20)}
    many = {key: sha256(value.encode()).hexdigest() for key, value in more.items()}
    assert pack_manifest(TAGS, {"files": many}, MOST_MANIFEST) == {}


def test_a_mark_comes_and_goes() -> None:
    """A mark is a tag; an empty value takes it away."""
    make_ami(LINEAGE)
    catalog = make_target().images
    for value, marks in (("prod", {"promoted": "prod"}), ("", {})):
        found = catalog.find("app", VERSION, "")
        assert found
        catalog.mark(found, "promoted", value)
        again = catalog.find("app", VERSION, "")
        assert again
        assert again.facts["marks"] == marks


def test_delete_leaves_no_ami_and_no_snapshot() -> None:
    """The artifact goes with its snapshot; a copy that somebody made elsewhere is not ours."""
    ec2, other = find_client("ec2"), "us-east-1"
    before = len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])
    make_ami(LINEAGE)
    theirs = make_ami(LINEAGE, other)
    catalog = make_target().images
    found = catalog.find("app", VERSION, "")
    assert found
    catalog.delete(found)
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == before
    abroad = find_client("ec2", other).describe_images(Owners=["self"])["Images"]
    assert [one["ImageId"] for one in abroad] == [theirs]
    catalog.delete(found)  # what is gone is no error


def test_what_is_in_use_is_not_deleted() -> None:
    """A server that runs it and an image that was baked from it are named."""
    make_ami({**LINEAGE, "image": "base", "version": PARENT, "parents": {}})
    app = make_ami(LINEAGE)
    catalog = make_target().images
    base = catalog.find("base", PARENT, "")
    assert base
    with pytest.raises(ImageError, match=f"{app} was baked from it"):
        catalog.delete(base)
    run = find_client("ec2").run_instances(ImageId=app, MinCount=1, MaxCount=1)["Instances"][0]
    found = catalog.find("app", VERSION, "")
    assert found
    with pytest.raises(ImageError, match=run["InstanceId"]):
        catalog.delete(found)
    assert catalog.measure(found) > 0


def test_what_a_launch_template_names_is_not_deleted() -> None:
    """In any of its versions, also with no server: a group may make one at any time."""
    app, ec2 = make_ami(LINEAGE), find_client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName="shop-dev-web", LaunchTemplateData={"ImageId": app}
    )
    ec2.create_launch_template_version(
        LaunchTemplateName="shop-dev-web", LaunchTemplateData={"ImageId": "ami-2"}
    )
    catalog = make_target().images
    found = catalog.find("app", VERSION, "")
    assert found
    with pytest.raises(ImageError, match="the launch template shop-dev-web launches"):
        catalog.delete(found)
    ec2.delete_launch_template(LaunchTemplateName="shop-dev-web")
    catalog.delete(found)
    assert catalog.list() == []


def register(name: str, region: str = REGION, architecture: str = "x86_64") -> str:
    """Make an AMI of Debian's account."""
    ec2 = find_client("ec2", region)
    filters = [{"Name": "architecture", "Values": [architecture]}]
    image = ec2.describe_images(Owners=["amazon"], Filters=filters)["Images"][0]["ImageId"]
    run = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    made: str = ec2.create_image(InstanceId=run, Name=name)["ImageId"]
    ec2_backends[ACCOUNT][region].amis[made].owner_id = DEBIAN_OWNER
    return made


def test_the_lock_names_the_newest_ami_of_every_region() -> None:
    """The newest of the stable release, with an id for each region.

    Debian's backports of the same day, its next release and its daily builds are none of it.
    """
    register("debian-12-amd64-20260901-1")
    register("debian-13-amd64-20260101-1")
    register("debian-13-arm64-20261001-1", architecture="arm64")
    newest = register("debian-13-amd64-20260801-1")
    elsewhere = register("debian-13-amd64-20260801-1", "us-east-1")
    forky = register("debian-14-amd64-20261101-1")
    register("debian-13-backports-amd64-20260801-1")
    register("debian-sid-amd64-daily-20261101-1")
    register("debian-13-amd64-daily-20261101-1")
    said: list[str] = []
    catalog = make_target().images
    entry = catalog.find_upstream({"upstream": {"suite": "stable"}}, {}, said.append)
    assert entry == {
        "owner": DEBIAN_OWNER,
        "name": "debian-13-amd64-20260801-1",
        "amis": {REGION: newest, "us-east-1": elsewhere},
    }
    assert any("debian-13-amd64-20260801-1" in line for line in said)
    arm = make_target(architecture="arm64").images.find_upstream({}, {}, said.append)
    assert arm["name"] == "debian-13-arm64-20261001-1"
    for suite in ("forky", "14"):
        entry = catalog.find_upstream({"upstream": {"suite": suite}}, {}, said.append)
        assert entry["amis"] == {REGION: forky}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AuthFailure", "OptInRequired"])
def test_a_region_that_refuses_is_left_out_of_the_lock(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """An organisation may deny regions, which are listed all the same; not the stack's own."""
    newest = register("debian-13-amd64-20260801-1")
    register("debian-13-amd64-20260801-1", "us-east-1")
    ask, denied = Api.find_amis, ["us-east-1"]

    def refuse(api: Api, *filters: Any, **more: Any) -> Any:  # noqa: ANN401 - the call's own
        if api.region not in denied:
            return ask(api, *filters, **more)
        refusal = ClientError({"Error": {"Code": code, "Message": "denied"}}, "DescribeImages")
        raise explain(refusal, "ec2", "describe_images", api.region, ImageError)

    monkeypatch.setattr(Api, "find_amis", refuse)
    said: list[str] = []
    assert make_target().images.find_upstream({}, {}, said.append)["amis"] == {REGION: newest}
    assert any(line.startswith("us-east-1 is left out: ") for line in said)
    denied[:] = [REGION]
    with pytest.raises((SetupError, SettingsError)):
        make_target().images.find_upstream({}, {}, said.append)


def test_an_upstream_that_is_not_there_is_said() -> None:
    """A suite that Debian lacks, one without an AMI, and what is not Debian."""
    with pytest.raises(ImageError, match=DEBIAN_OWNER):
        make_target().images.find_upstream({"upstream": {"suite": "trixie"}}, {}, print)
    for wanted in ({"suite": "woody"}, {"owner": "099720109477", "name": "ubuntu/*"}):
        with pytest.raises(ImageError, match="no such upstream on aws") as raised:
            make_target().images.find_upstream({"upstream": wanted}, {}, print)
        assert {f"{key}: {value}" for key, value in wanted.items()} <= {*raised.value.facts}


def test_a_bake_starts_from_the_locked_ami_of_its_region(tmp_path: Path) -> None:
    """What Packer is handed: AMI, name, tags; without a parent the login is Packer's own."""
    packer = FakePacker()
    lock = {"amis": {REGION: "ami-locked", "us-east-1": "ami-other"}}
    with pytest.raises(ImageError, match="no AMI for eu-central-1"):
        make_target().images.bake(make_request(tmp_path, lock={"amis": {}}), packer)
    catalog = make_target(kms_key="alias/ours").images
    artifact = catalog.bake(make_request(tmp_path, lock=lock), packer)
    assert artifact.version == VERSION
    given = packer.given
    assert given["source_ami"] == "ami-locked"
    assert given["ami_name"] == "immutable-servers/app/3f2a9c41d0e7"
    assert given["kms_key"] == "alias/ours"
    assert json.loads(given["tags"])["immutable-servers:image"] == "app"
    assert json.loads(given["tags"])["immutable-servers:digest"] == DIGEST
    assert json.loads(given["tags"])["immutable-servers:parents"] == json.dumps(
        {"base": PARENT}, separators=(",", ":")
    )
    assert "login" not in given


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
        "same": {BAKE_HOST: ours, version: VERSION},
        "dead": {BAKE_HOST: "dead", BAKE_ENDS: "1"},
        "alive": {BAKE_HOST: "alive"},
        "other": {BAKE_HOST: ours, version: "111111111111"},
    }
    made = {name: make_bake(name, {BAKE_ENDS: later, **tags}) for name, tags in tagged.items()}
    ec2 = find_client("ec2")
    ami = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    request = make_request(tmp_path, lock={"amis": {REGION: ami}})
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


def find_way(tmp_path: Path, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - plain values
    """Return where a bake stands, and who reaches it how."""
    request = make_request(tmp_path)
    given = render_variables(request, make_target(**settings).api)
    return {
        "subnet": given["subnet"],
        "through": given["ssh_interface"],
        "public": json.loads(given["public"]),
        "let_in": json.loads(given["let_in"]),
    }


def test_a_bake_stands_where_servers_do_and_is_reached_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the VPC of the settings, and from its addresses where no instance has a public one."""
    monkeypatch.setattr(bake, "find_verifier", lambda: "203.0.113.7/32")
    default = find_way(tmp_path, verify_from=[])
    assert default == {
        "subnet": "",
        "through": "public_ip",
        "public": True,
        "let_in": ["203.0.113.7/32"],
    }
    ec2 = find_client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    private, public = (
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{number}.0/24")["Subnet"]["SubnetId"]
        for number in (1, 2)
    )
    ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
    inside = {"vpc": vpc, "subnets": [private], "verify_through": "private", "verify_from": []}
    from_the_vpc = {
        "subnet": private,
        "through": "private_ip",
        "public": False,
        "let_in": ["10.7.0.0/16"],
    }
    assert find_way(tmp_path, **inside) == from_the_vpc
    profile = {"verify_through": "ssm", "instance_profile": "web"}
    assert find_way(tmp_path, **{**inside, **profile}) == from_the_vpc
    own = {"through": "public_ip", "public": True, "let_in": ["203.0.113.7/32"]}
    named = {**inside, **profile, "build_subnet": public}
    assert find_way(tmp_path, **named) == {"subnet": public, **own}
    shown = {**inside, "verify_through": "", "public_addresses": True}
    assert find_way(tmp_path, **shown) == {"subnet": private, **own}
    closed = {**inside, "build_through": "ssm", "build_instance_profile": "bake"}
    assert find_way(tmp_path, **closed) == {
        "subnet": private,
        "through": "session_manager",
        "public": False,
        "let_in": [],
    }


def test_a_range_of_ipv6_is_not_handed_to_packer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plugin would ask EC2 for a range of IPv4 with it; it logs in by IPv4 anyway."""
    monkeypatch.setattr(bake, "find_verifier", lambda: "203.0.113.7/32")
    both = find_way(tmp_path, verify_from=["2001:db8::/32", "198.51.100.0/24"])
    assert both["let_in"] == ["198.51.100.0/24"]
    assert find_way(tmp_path, verify_from=["2001:db8::/32"])["let_in"] == ["203.0.113.7/32"]


@pytest.mark.parametrize(
    ("tags", "is_removed"),
    [
        ({BAKE_ENDS: "1", BAKE_HOST: "elsewhere"}, True),
        ({BAKE_ENDS: "4000000000", BAKE_HOST: bakes.name_machine()}, True),
        ({}, False),
    ],
)
def test_a_half_ami_of_a_dead_bake_goes_before_the_next(
    tmp_path: Path, tags: Mapping[str, str], *, is_removed: bool
) -> None:
    """By its end, or by this machine's lock; one that no bake of ours made is nobody's to remove.

    Its snapshot goes with it.
    """
    ec2 = find_client("ec2")
    before = len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"])
    version = {f"{PREFIX}version": VERSION} if tags else {}
    half = make_ami(LINEAGE, whole=False, tags={**tags, **version, "Name": "x"})
    request = make_request(tmp_path, lock=LOCK)
    if is_removed:
        assert make_target().images.bake(request, FakePacker()).id != half
        assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == before + 1
        return
    with pytest.raises(ImageError, match=f"{half} has it, and no tag of a bake"):
        make_target().images.bake(request, FakePacker())
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_sizes_are_words_or_instance_types() -> None:
    """Small fits the architecture, own words win, and AWS's words pass."""
    assert make_target().resolve_size("small") == {"instance_type": "t3.small"}
    arm = make_target(architecture="arm64", sizes={"huge": "c7g.4xlarge"})
    assert arm.resolve_size("small") == {"instance_type": "t4g.small"}
    assert arm.resolve_size("huge") == {"instance_type": "c7g.4xlarge"}
    assert arm.resolve_size("c7g.medium") == {"instance_type": "c7g.medium"}
    with pytest.raises(SettingsError, match=r"c7i\.large"):
        make_target().resolve_size("gigantic")
