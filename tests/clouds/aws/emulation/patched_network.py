"""Networks, addresses and disks of the emulated cloud."""

from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.elbv2.models import ELBv2Backend

from clouds.aws.emulation.cloud_world import World

DISK = 8
"""GiB of every AMI's root disk."""


def patch_network(world: World) -> None:
    """Put networks and balancers onto the loopback, and give each disk a size."""
    create = ELBv2Backend.create_load_balancer
    assign = NetworkInterface.check_auto_public_ip

    def check_auto_public_ip(card: Any) -> None:  # noqa: ANN401 - moto's class
        assign(card)
        if card.public_ip:
            card.public_ip = card.private_ip_address

    add_disk, launch = Instance.add_block_device, EC2Backend.run_instances

    def run_instances(backend: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - moto's class
        cards = named.get("nics") or ()
        if not named.get("subnet_id") and not any("SubnetId" in card for card in cards):
            subnets = backend.get_default_subnets()
            named["subnet_id"] = subnets[min(subnets)].id
        return launch(backend, *args, **named)

    def add_block_device(instance: Any, size: int | None, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        return add_disk(instance, size or DISK, *args, **named)

    def create_default_vpc(backend: Any) -> Any:  # noqa: ANN401 - moto's classes
        vpc = backend.create_vpc(cidr_block=f"{world.network}.0.0/16", is_default=True)
        for zone in backend.describe_availability_zones():
            backend.create_default_subnet(zone.name)
        return vpc

    def create_load_balancer(backend: Any, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        taken = {balancer.dns_name for balancer, _ in world.list_listeners()}
        taken |= {balancer.dns_name for balancer in backend.load_balancers.values()}
        made = create(backend, *args, **named)
        addresses = map(world.find_balancer_address, range(1, 255))
        made.dns_name = next(address for address in addresses if address not in taken)
        return made

    EC2Backend.create_default_vpc = create_default_vpc
    EC2Backend.run_instances = run_instances
    Instance.add_block_device = add_block_device
    NetworkInterface.check_auto_public_ip = check_auto_public_ip
    ELBv2Backend.create_load_balancer = create_load_balancer
