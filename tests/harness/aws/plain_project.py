"""The plain program on the emulated EC2."""

from pathlib import Path

from harness import cloud_checkout
from harness.aws.cloud import Cloud

PlainProject = cloud_checkout.PlainProject[Cloud]


def make_plain(folder: Path, cloud: Cloud) -> PlainProject:
    """Copy the program and make its stack, with an AMI, in the default network."""
    ec2 = cloud.client("ec2")
    made = ec2.register_image(Name="plain", RootDeviceName="/dev/sda1")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    cloud.set_manners(follow=0.0)  # what it asks the balancer is what was declared last
    return PlainProject.create(
        folder,
        cloud,
        image=made["ImageId"],
        vpc=subnets[0]["VpcId"],
        subnets=[one["SubnetId"] for one in subnets],
    )
