"""Networks, addresses and disks of the emulated cloud."""

import itertools
from collections.abc import Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.elbv2.models import ELBv2Backend

from clouds.aws.emulation.cloud_names import make_name
from clouds.aws.emulation.cloud_world import World

SAID = {
    "InsufficientInstanceCapacity": "We currently do not have sufficient capacity of this type in"
    " the Availability Zone you requested ({zone}).",
    "Unsupported": "Your requested instance type is not supported in your requested Availability"
    " Zone ({zone}).",
}
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html"""
DISK = 8
"""GiB of every AMI's root disk."""


def patch_network(world: World) -> None:
    """Put networks and balancers onto the loopback, and give each disk a size."""
    create, numbers = ELBv2Backend.create_load_balancer, itertools.count(1)
    assign = NetworkInterface.check_auto_public_ip

    def check_auto_public_ip(card: Any) -> None:  # noqa: ANN401 - moto's class
        assign(card)
        if card.public_ip:
            card.public_ip = card.private_ip_address

    add_disk, launch = Instance.add_block_device, EC2Backend.run_instances

    def run_instances(backend: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - moto's class
        named["subnet_id"] = find_subnet(backend, named)
        refusal = refuse_zone(world, backend.get_subnet(named["subnet_id"]))
        if refusal is not None:
            raise refusal
        return launch(backend, *args, **named)

    def find_subnet(backend: Any, named: Mapping[str, Any]) -> str:  # noqa: ANN401 - moto's class
        """Return the subnet that a launch names, or one of the default VPC that has room."""
        cards = named.get("nics") or ()
        asked = [named.get("subnet_id"), *(card.get("SubnetId") for card in cards)]
        defaults = backend.get_default_subnets()
        free = [zone for zone in sorted(defaults) if refuse_zone(world, defaults[zone]) is None]
        return next(filter(None, asked), None) or str(defaults[min(free or defaults)].id)

    def add_block_device(instance: Any, size: int | None, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        return add_disk(instance, size or DISK, *args, **named)

    def create_default_vpc(backend: Any) -> Any:  # noqa: ANN401 - moto's classes
        vpc = backend.create_vpc(cidr_block=f"{world.network}.0.0/16", is_default=True)
        for zone in backend.describe_availability_zones():
            backend.create_default_subnet(zone.name)
        gateway = backend.create_internet_gateway()
        backend.attach_internet_gateway(gateway.id, vpc.id)
        of_vpc = {"vpc-id": vpc.id, "association.main": "true"}
        (main,) = backend.describe_route_tables(filters=of_vpc)
        backend.create_route(main.id, "0.0.0.0/0", gateway_id=gateway.id)
        return vpc

    def create_load_balancer(backend: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        made = create(backend, *args, **named)
        made.dns_name = make_name(made.name, next(numbers), world.network)
        return made

    EC2Backend.create_default_vpc = create_default_vpc
    EC2Backend.run_instances = run_instances
    Instance.add_block_device = add_block_device
    NetworkInterface.check_auto_public_ip = check_auto_public_ip
    ELBv2Backend.create_load_balancer = create_load_balancer


def refuse_zone(world: World, subnet: Any) -> EC2ClientError | None:  # noqa: ANN401 - moto's subnet
    """Return what EC2 says of a launch where there is no room; None where there is."""
    zone = subnet.availability_zone
    code = world.manners.no_room.get(zone)
    return EC2ClientError(code, SAID[code].format(zone=zone)) if code else None
