"""AMIs of the emulated cloud."""

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidAMIIdError
from moto.ec2.models import EC2Backend, amis, ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.responses.instances import InstanceResponse

from clouds.aws.emulation.cloud_world import World
from clouds.aws.emulation.patched_network import DISK

ROOT_DEVICE = {"root_device_type": "ebs", "root_device_name": "/dev/xvda"}
"""Of Debian's AMIs: https://wiki.debian.org/Cloud/AmazonEC2Image."""

ARCHITECTURES = ("x86_64", "arm64")


def patch_images(world: World) -> None:
    """Show shared AMIs, and keep what Packer writes, disks of instances that have one too."""
    _keep_few()
    _patch_sharing()
    _patch_bakes()
    _patch_mappings()
    _patch_disks(world)


def _keep_few() -> None:
    """Have Amazon offer one AMI of each architecture: each write copies all that there are."""
    first = {one.get("architecture"): one for one in reversed(amis.AMIS)}
    amis.AMIS = [first[architecture] for architecture in ARCHITECTURES]
    os.environ["MOTO_AMIS_PATH"] = "read already"  # moto then looks for no others


def _patch_sharing() -> None:
    """Show an account the AMIs that are shared with it, or with everyone, without their tags.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html
    """
    describe = EC2Backend.describe_images

    def describe_images(backend: Any, *args: Any, owners: Any = None, **named: Any) -> list[Any]:  # noqa: ANN401
        own = backend.account_id
        asked = [own if owner == "self" else owner for owner in owners or ()]
        found = {}
        for account in dict.fromkeys((own, *ec2_backends)):
            other = ec2_backends[account][backend.region_name]
            for ami in _list_images(describe, other, *args, owners=asked, **named):
                if other is backend:
                    found[ami.id] = ami
                elif {"UserId": own} in ami.launch_permissions or ami.is_public:
                    found.setdefault(ami.id, _without_tags(ami))
        return [*found.values()] or list(describe(backend, *args, owners=asked, **named))

    EC2Backend.describe_images = describe_images


def _patch_bakes() -> None:
    """Have each AMI's name once, and its root disk on EBS with a snapshot like the disk.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html
    """
    create, make = EC2Backend.create_image, Ami.__init__
    disks = Ami.block_device_mappings.fget

    def make_ami(ami: Any, *args: Any, **named: Any) -> None:  # noqa: ANN401 - moto's class
        make(ami, *args, **{**ROOT_DEVICE, **named})
        ami.ebs_snapshot.volume.size = DISK

    def create_image(
        backend: Any,  # noqa: ANN401 - moto's class
        *args: Any,  # noqa: ANN401 - the call's own
        tag_specifications: Sequence[Mapping[str, Any]],
    ) -> Any:  # noqa: ANN401 - moto's class
        name = args[1]
        if any(
            ami.name == name and ami.owner_id == backend.account_id for ami in backend.amis.values()
        ):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
        kinds = {one["ResourceType"]: one["Tags"] for one in tag_specifications}
        tags = kinds.pop("snapshot", [])
        rest = [{"ResourceType": kind, "Tags": of} for kind, of in kinds.items()]
        ami = create(backend, *args, tag_specifications=rest)
        for tag in tags:
            ami.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
        ((ami.root_device_name, disk),) = backend.get_instance(args[0]).get_block_device_mapping
        snapshot, volume = ami.ebs_snapshot, backend.get_volume(disk.volume_id)
        snapshot.volume, snapshot.encrypted = volume, volume.encrypted
        snapshot.kms_key_id = volume.kms_key_id
        return ami

    def describe_disks(ami: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - moto's class
        (disk,) = disks(ami)
        snapshot = ami.ebs_snapshot
        size = {"VolumeSize": snapshot.volume.size, "Encrypted": snapshot.encrypted}
        return [{**disk, "Ebs": {**disk["Ebs"], **size}}]

    Ami.__init__ = make_ami
    Ami.block_device_mappings = property(describe_disks)
    EC2Backend.create_image = create_image


def _patch_mappings() -> None:
    """Have a launch change an AMI's root disk: what it does not say is as in the AMI.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configure-root-volume-delete-on-termination.html
    """
    parse = InstanceResponse._parse_block_device_mapping

    def parse_mappings(response: Any) -> Any:  # noqa: ANN401 - moto's class
        (ami,) = response.ec2_backend.describe_images(ami_ids=[response._get_param("ImageId")])
        least = ami.ebs_snapshot.volume.size
        for disk in response._get_param("BlockDeviceMappings", []):
            if disk["DeviceName"] == ami.root_device_name:
                size = int(disk["Ebs"].setdefault("VolumeSize", least))
                if size < least:
                    said = f"Volume of size {size}GB is smaller than snapshot, expect >= {least}GB"
                    raise EC2ClientError("InvalidBlockDeviceMapping", said)
        return parse(response)

    InstanceResponse._parse_block_device_mapping = parse_mappings


def _patch_disks(world: World) -> None:
    """Have an AMI made of an instance, or copied, keep the disk."""
    create, copied = EC2Backend.create_image, EC2Backend.copy_image

    def create_image(backend: Any, instance: str, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        ami = create(backend, instance, *args, **named)
        world.keep_disk(instance, ami.id)
        world.clock.pass_by(world.manners.bake)
        return ami

    def copy_image(backend: Any, source: str, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        ami = copied(backend, source, *args, **named)
        world.copy_disk(source, ami.id)
        return ami

    EC2Backend.create_image = create_image
    EC2Backend.copy_image = copy_image


def _list_images(describe: Any, backend: Any, *args: Any, **named: Any) -> list[Any]:  # noqa: ANN401
    try:
        return [*describe(backend, *args, **named)]
    except InvalidAMIIdError:
        return []


def _without_tags(ami: Any) -> Any:  # noqa: ANN401 - moto's AMI
    seen = copy.copy(ami)
    seen.get_tags = list
    return seen
