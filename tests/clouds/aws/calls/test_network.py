"""Where servers and balancer stand, on an emulated account: what AWS would refuse, or never say."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.aws.aws_world import World, make_target, start_emulation
from harness.cloud_world import STACK, WEB
from immutable_servers.contract.ownership import Owner
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws import api
from immutable_servers.targets.aws.network import choose_subnets, find_network, refuse_private

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
GENERATION = replace(WEB, generation="3f2a9c41")
OWNER = Owner("file:///state", "0a1b", "organization", "project", "dev", "/checkout")


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    """Yield an emulated account with a default VPC."""
    with start_emulation():
        yield World()


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return the zones of each instance type, to be filled; AWS's own differ by day and account."""
    table: dict[str, list[str]] = {}
    original = api.Api.list

    def answer(asked: api.Api, service: str, operation: str, **named: Any) -> list[Any]:  # noqa: ANN401
        if operation != "describe_instance_type_offerings":
            return original(asked, service, operation, **named)
        (wanted,) = named["Filters"]
        return [
            {"InstanceType": kind, "Location": zone}
            for kind in wanted["Values"]
            for zone in table.get(kind, [])
        ]

    monkeypatch.setattr(api.Api, "list", answer)
    return table


def make_vpc(world: World, *zones: str, is_open: bool = True) -> tuple[str, list[str]]:
    """Make a VPC with a subnet in each of the zones; return their ids."""
    ec2 = world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=zone)
        for number, zone in enumerate(zones)
    ]
    if is_open:
        world.open_network(vpc)
    return vpc, [one["Subnet"]["SubnetId"] for one in subnets]


def find(**settings: Any) -> Mapping[str, str]:  # noqa: ANN401 - plain values
    """Return the balancer's subnets as the settings name them."""
    settings = {"verify_through": "private", **settings}
    asked = make_target(**settings).api
    network = find_network(asked)
    refuse_private(asked, network)
    return network.balancer_subnets


def test_servers_stand_in_the_balancers_zones(world: World) -> None:
    """Elsewhere they would be `Target.NotInUse` for ever, and nobody would say it."""
    vpc, subnets = make_vpc(world, *ZONES)
    with pytest.raises(SettingsError, match="in a zone where the balancer has no subnet") as caught:
        find(vpc=vpc, subnets=subnets, balancer_subnets=subnets[:2])
    assert f"{subnets[2]}: {ZONES[2]}" in caught.value.facts
    assert [*find(vpc=vpc, subnets=subnets[:2], balancer_subnets=subnets)] == subnets


def test_a_balancer_takes_one_subnet_of_a_zone(world: World) -> None:
    """Servers may have more; one zone alone is too few."""
    vpc, subnets = make_vpc(world, ZONES[0], ZONES[0], ZONES[1])
    with pytest.raises(SettingsError, match="one subnet of each zone"):
        find(vpc=vpc, subnets=subnets)
    assert find(vpc=vpc, subnets=subnets, balancer_subnets=subnets[1:])
    with pytest.raises(SettingsError, match="in 2 zones at least"):
        find(vpc=vpc, subnets=subnets[:2])


def test_what_is_reached_from_the_internet_has_a_way_there(world: World) -> None:
    """A public balancer in private subnets, and servers that are checked by public addresses there.

    A gateway for S3 is no way out, a firewall's endpoint is one.
    """
    ec2 = world.client("ec2")
    vpc, subnets = make_vpc(world, *ZONES[:2], is_open=False)
    named = {"vpc": vpc, "subnets": subnets}
    with pytest.raises(SettingsError, match="Subnets without a way to the internet") as caught:
        find(**named)
    assert "internal: true" in caught.value.todo
    assert find(**named, internal=True)
    with pytest.raises(SettingsError, match="Subnets without a way to the internet"):
        find(**named, internal=True, verify_through="public", public_addresses=True)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    world.open_network(vpc)  # the main table, which these subnets do not have
    with pytest.raises(SettingsError, match="Subnets without a way to the internet"):
        find(**named)
    gateway = ec2.describe_internet_gateways(
        Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}]
    )
    ec2.create_route(
        RouteTableId=table,
        DestinationCidrBlock="0.0.0.0/0",
        GatewayId=gateway["InternetGateways"][0]["InternetGatewayId"],
    )
    assert [*find(**named)] == subnets


def test_a_default_vpc_gives_three_zones_that_have_every_type(
    offers: dict[str, list[str]],
) -> None:
    """A zone that lacks one is left out, of the balancer too, which pays an address in each."""
    offers |= {"t3.small": [*ZONES], "m7i.xlarge": [*ZONES[1:]]}
    asked = make_target().api
    network = find_network(asked, ["t3.small", "m7i.xlarge"])
    assert [*network.balancer_subnets.values()] == [*ZONES[1:]]
    assert network.subnets == network.balancer_subnets
    assert len(find_network(asked, ["t3.small"]).subnets) == 3
    offers["m7i.xlarge"] = [ZONES[2]]
    with pytest.raises(SettingsError, match="Fewer than 2 zones") as caught:
        find_network(asked, ["t3.small", "m7i.xlarge"])
    assert f"m7i.xlarge: {ZONES[2]}" in caught.value.facts


@pytest.mark.usefixtures("offers")
def test_a_balancer_that_is_there_keeps_its_zones(world: World) -> None:
    """Servers of an earlier program stand in all of them: a zone that is left gets no traffic."""
    used = world.subnets
    network = find_network(make_target().api, ["t3.small"], sorted(used))
    assert [*network.balancer_subnets] == used  # in the order of their zones, as they were chosen


def test_servers_are_launched_where_their_type_is(
    world: World, offers: dict[str, list[str]]
) -> None:
    """Where no zone has it the preview says which have."""
    asked = make_target().api
    subnets = dict(zip(world.subnets, ZONES, strict=True))
    offers["c7i.large"] = [ZONES[1]]
    assert choose_subnets(asked, subnets, "c7i.large") == [world.subnets[1]]
    offers["c7i.large"] = ["eu-central-1d"]
    with pytest.raises(SettingsError, match="of the type c7i") as caught:
        choose_subnets(asked, subnets, "c7i.large")
    assert "zones that have it: eu-central-1d" in caught.value.facts


def test_a_balancer_leaves_no_zone_where_servers_stand(world: World) -> None:
    """Other subnets in the settings would take the traffic from the live generation's servers."""
    world.make_balancer()
    world.make_fleet(GENERATION)
    settings = {"vpc": world.vpc, "verify_through": "private"}
    for subnets, is_refused in ((world.subnets, False), (world.subnets[1:], True)):
        target = make_target(**settings, subnets=subnets)
        graph: Any = target.start_graph(STACK, OWNER)
        if is_refused:
            with pytest.raises(SettingsError, match="would leave a zone") as caught:
                graph._find_network(["small"])
            assert caught.value.facts[0].endswith(f"stands in {ZONES[0]}")
        else:
            assert graph._find_network(["small"])
