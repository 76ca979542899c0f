"""Two accounts of the emulated cloud: what one sees of the other's images."""

from collections.abc import Iterator

import boto3
import pytest

from harness.aws.cloud import ACCOUNT, REGION, Cloud, become
from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.api import forget_clients
from immutable_servers.targets.aws.images import render_description, render_facts
from immutable_servers.targets.aws.names import list_tags, name_image

FRIEND, STRANGER = "222222222222", "333333333333"
VERSION = "0123456789ab"
PARENTS = {"base": "ba9876543210"}


@pytest.fixture(autouse=True)
def _uses_the_cloud(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead the SDK of this process to the emulated cloud, and back."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    yield
    forget_clients()


def act_as(account: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on with the credentials of a role in another account."""
    for name, value in become(account, cloud).environment.items():
        monkeypatch.setenv(name, value)
    forget_clients()
    caller = boto3.Session(region_name=REGION).client("sts").get_caller_identity()
    assert caller["Account"] == account


def find_catalog(*owners: str) -> Images:
    """Return the catalog of whoever we are now."""
    return AwsTarget({"region": REGION, "image_owners": list(owners)}).images


def share_image(cloud: Cloud, account: str) -> str:
    """Make a tagged AMI as a bake does, and share it; return its id."""
    ec2 = cloud.client("ec2")
    made: str = ec2.register_image(
        Name=name_image("app", VERSION),
        Description=render_description(PARENTS),
        RootDeviceName="/dev/xvda",
    )["ImageId"]
    lineage = {"image": "app", "version": VERSION, "commit": "c0ffee"}
    ec2.create_tags(Resources=[made], Tags=list_tags(render_facts(lineage)))
    ec2.modify_image_attribute(ImageId=made, LaunchPermission={"Add": [{"UserId": account}]})
    return made


def test_a_shared_image_is_found_without_its_tags(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The friend finds it by name and reads its parents; facts and marks stay with the owner.

    Only an account that it was shared with sees it, and only when the settings name its owner.
    """
    shared = share_image(cloud, FRIEND)
    own = find_catalog().find("app", VERSION)
    assert own is not None
    find_catalog().mark(own, "used", "dev")
    own = find_catalog().find("app", VERSION)
    assert isinstance(own, Artifact)
    assert (own.id, own.parents, own.facts["commit"]) == (shared, PARENTS, "c0ffee")
    assert own.facts["marks"] == {"used": "dev"}

    act_as(FRIEND, cloud, monkeypatch)
    assert find_catalog().find("app", VERSION) is None
    found = find_catalog(ACCOUNT).find("app", VERSION)
    assert found is not None
    assert (found.id, found.parents) == (shared, PARENTS)
    assert found.facts == {"marks": {}, "owner": ACCOUNT}

    act_as(STRANGER, cloud, monkeypatch)
    assert find_catalog(ACCOUNT).list() == []
