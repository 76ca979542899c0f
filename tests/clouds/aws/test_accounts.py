"""Two accounts of the emulated cloud: what one may do with the other's images."""

from harness.aws.cloud import REGION, Cloud, become
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.images import render_facts
from immutable_servers.targets.aws.names import list_tags, name_image

STRANGER = "333333333333"
VERSION = "0123456789ab"
LINEAGE = {"image": "app", "version": VERSION, "digest": VERSION + "0" * 52, "parents": {}}


def test_an_ami_of_another_account_is_never_used(cloud: Cloud) -> None:
    """Not with our name and our tags, and everybody may launch it: it is not in the catalog."""
    theirs = become(STRANGER, cloud).client("ec2")
    made = theirs.register_image(Name=name_image("app", VERSION), RootDeviceName="/dev/xvda")
    theirs.create_tags(Resources=[made["ImageId"]], Tags=list_tags(render_facts(LINEAGE)))
    theirs.modify_image_attribute(
        ImageId=made["ImageId"], LaunchPermission={"Add": [{"Group": "all"}]}
    )
    seen = cloud.client("ec2").describe_images(ImageIds=[made["ImageId"]])["Images"]
    assert [one["Name"] for one in seen] == [name_image("app", VERSION)]
    with cloud.lead_here():
        catalog = AwsTarget({"region": REGION}).images
        assert catalog.find("app", VERSION, "") is None
        assert catalog.list() == []
