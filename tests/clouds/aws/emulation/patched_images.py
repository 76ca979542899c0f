"""AMIs of the emulated cloud."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from moto.ec2.exceptions import InvalidAMIIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.responses.amis import AmisResponse

from clouds.aws.emulation.cloud_world import World


def patch_images(world: World) -> None:
    """Show shared AMIs, and keep what Packer writes, disks of instances that have one too."""
    _patch_sharing()
    _patch_bakes()
    _patch_disks(world)


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
    """Have each AMI's root disk on EBS, tag its snapshot, and take descriptions."""
    modify = AmisResponse.modify_image_attribute
    create, make = EC2Backend.create_image, Ami.__init__

    def make_ami(ami: Any, *args: Any, **named: Any) -> None:  # noqa: ANN401 - moto's class
        make(ami, *args, **{"root_device_type": "ebs", **named})

    def create_image(
        backend: Any,  # noqa: ANN401 - moto's class
        *args: Any,  # noqa: ANN401 - the call's own
        tag_specifications: Sequence[Mapping[str, Any]],
    ) -> Any:  # noqa: ANN401 - moto's class
        kinds = {one["ResourceType"]: one["Tags"] for one in tag_specifications}
        tags = kinds.pop("snapshot", [])
        rest = [{"ResourceType": kind, "Tags": of} for kind, of in kinds.items()]
        ami = create(backend, *args, tag_specifications=rest)
        for tag in tags:
            ami.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
        return ami

    def modify_image(response: Any) -> Any:  # noqa: ANN401 - moto's class
        answer, said = modify(response), response._get_param("Description")
        text = said.get("Value") if isinstance(said, Mapping) else said
        if text is not None:
            backend = response.ec2_backend
            backend.amis[response._get_param("ImageId")].description = text
        return answer

    Ami.__init__ = make_ami
    AmisResponse.modify_image_attribute = modify_image
    EC2Backend.create_image = create_image


def _patch_disks(world: World) -> None:
    """Have an AMI made of an instance, or copied, keep the disk."""
    create, copied = EC2Backend.create_image, EC2Backend.copy_image

    def create_image(backend: Any, instance: str, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        ami = create(backend, instance, *args, **named)
        world.keep_disk(instance, ami.id)
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
