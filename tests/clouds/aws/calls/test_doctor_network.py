"""`doctor` on an emulated account: network, zones, ways in and out, balancer, certificate."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from moto.ec2.models import instance_types

from harness.aws.doctor import Doctor, make_demand, start_doctor
from harness.cloud_world import STACK
from immutable_servers.contract.values import Route
from immutable_servers.targets.aws.names import make_name
from immutable_servers.targets.aws.readiness.balancing import covers, judge_certificate
from immutable_servers.targets.aws.readiness.subnets import leads_to

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
CERTIFICATE = {
    "DomainName": "example.com",
    "SubjectAlternativeNames": ["example.com", "*.example.com"],
    "Status": "ISSUED",
    "NotAfter": NOW + dt.timedelta(days=200),
}


@pytest.fixture
def doctor() -> Iterator[Doctor]:
    """Yield an emulated account."""
    with start_doctor() as doctor:
        yield doctor


def make_private(doctor: Doctor, size: int = 24, zones: str = "ab") -> dict[str, Any]:
    """Return the settings of a VPC without a way to the internet."""
    ec2 = doctor.world.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.9.{number}.0/{size}", AvailabilityZone=f"eu-central-1{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate(zones)
    ]
    return {
        "vpc": vpc,
        "subnets": subnets,
        "instance_profile": "web",
        "internal": True,
        "build_subnet": subnets[0],
    }


def open_nat(doctor: Doctor, settings: dict[str, Any]) -> None:
    """Give the main table of the settings' VPC a route to a NAT gateway."""
    ec2 = doctor.world.client("ec2")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=settings["subnets"][0], AllocationId=address)
    where = [{"Name": "vpc-id", "Values": [settings["vpc"]]}]
    (table,) = ec2.describe_route_tables(Filters=where)["RouteTables"]
    ec2.create_route(
        RouteTableId=table["RouteTableId"],
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=made["NatGateway"]["NatGatewayId"],
    )


def test_the_network(doctor: Doctor) -> None:
    """Zones are said; what the preview refuses is said in its words, and once."""
    assert doctor.see("network").found.endswith("eu-central-1b, eu-central-1c")
    settings = make_private(doctor, zones="a")
    line = doctor.see("network", **settings)
    assert line.status == "not ok"
    assert "2 zones" in line.found
    assert doctor.ask("addresses", **settings) == []
    doctor.denied = {"DescribeVpcs"}
    line = doctor.see("network")
    assert (line.status, line.todo) == ("not known", "needs ec2:DescribeVpcs")


def test_instance_types(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone has to offer them, as the program chooses zones, and their processors have to fit."""
    assert doctor.see("instance types").found.startswith("t3.large in eu-central-1")
    line = doctor.see("network", sizes={"small": "t9.small"})
    assert (line.status, "t9.small: none" in line.found) == ("not ok", True)
    named = make_private(doctor)
    line = doctor.see("instance types", **named, sizes={"small": "t9.small"})
    assert (line.status, "t9.small in eu-central-1a" in line.found) == ("not ok", True)
    line = doctor.see("instance types", sizes={"small": "t4g.small"})
    assert (line.status, line.found) == ("not ok", "t4g.small: not x86_64")
    offers = instance_types.INSTANCE_TYPE_OFFERINGS["availability-zone"]["eu-central-1"]
    fewer = [one for one in offers if one["Location"] != "eu-central-1c"]
    zones = instance_types.INSTANCE_TYPE_OFFERINGS["availability-zone"]
    monkeypatch.setitem(zones, "eu-central-1", fewer)
    assert doctor.see("network").found.endswith("eu-central-1a, eu-central-1b")
    assert doctor.status("instance types") == "ok"
    line = doctor.see("instance types", **make_private(doctor, zones="bc"))
    assert (line.status, line.found) == ("note", "not offered: t3.small in eu-central-1c")
    line = doctor.see("instance types", **make_private(doctor, zones="ca"))
    assert (line.status, "t3.large in eu-central-1c" in line.found) == ("not ok", True)


def test_free_addresses(doctor: Doctor) -> None:
    """Servers and a bake fit into the servers' subnets, a balancer's 8 into each of its own."""
    assert doctor.status("addresses") == "ok"
    settings = make_private(doctor, size=28)
    assert doctor.see("addresses", **settings).found == (
        "22 free for servers, 7 more wanted at most with a bake"
    )
    assert doctor.status("addresses", make_demand(servers=8), **settings) == "not ok"
    small = make_private(doctor, size=28)
    ec2 = doctor.world.client("ec2")
    for _ in range(4):
        ec2.create_network_interface(SubnetId=small["subnets"][1])
    line = doctor.see("addresses", make_demand(servers=1), **small)
    assert (line.status, "8 in each of its subnets" in line.found) == ("not ok", True)


def test_the_balancers_way_in(doctor: Doctor) -> None:
    """People come through an internet gateway, unless the balancer is internal."""
    assert doctor.status("balancer's way in") == "ok"
    settings = make_private(doctor)
    assert doctor.status("balancer's way in", **settings) == "ok"
    settings["internal"] = False
    lines = [
        line for what in ("network", "balancer's way in") for line in doctor.ask(what, **settings)
    ]
    assert "not ok" in {line.status for line in lines}


def test_ways_out(doctor: Doctor) -> None:
    """Servers need one, or the endpoints, for Session Manager; bakes for their packages."""
    assert doctor.status("servers' way out") == "ok"
    assert doctor.status("bakes' way out") == "ok"
    settings = make_private(doctor)
    line = doctor.see("servers' way out", **settings)
    assert line.status == "not ok"
    assert line.found.endswith("no endpoint of ssm, ssmmessages")
    assert doctor.status("servers' way out", **settings, verify_through="private") == "note"
    assert doctor.status("bakes' way out", **settings) == "not ok"
    for service in ("ssm", "ssmmessages"):
        doctor.world.client("ec2").create_vpc_endpoint(
            VpcId=settings["vpc"],
            ServiceName=f"com.amazonaws.eu-central-1.{service}",
            VpcEndpointType="Interface",
            SubnetIds=settings["subnets"],
        )
    assert doctor.status("servers' way out", **settings) == "note"
    open_nat(doctor, settings)
    assert doctor.status("servers' way out", **settings) == "ok"
    assert doctor.status("bakes' way out", **settings) == "ok"


@pytest.mark.parametrize(
    ("route", "leads"),
    [
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}, True),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "blackhole"}, False),
        ({"DestinationCidrBlock": "10.0.0.0/8", "GatewayId": "igw-1"}, False),
        ({"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1"}, True),
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}, False),
    ],
)
def test_routes(route: dict[str, str], leads: bool) -> None:  # noqa: FBT001 - a table
    """A default route that works, and leads to such a thing."""
    assert leads_to([route], "igw-") is leads


def test_the_balancers_name(doctor: Doctor) -> None:
    """It is free, ours, or a stranger's, which the run would not touch."""
    assert doctor.see("balancer's name").found.endswith(" is free")
    doctor.world.make_balancer()
    assert doctor.see("balancer's name").found.endswith(" is this stack's")
    elb = doctor.world.client("elbv2")
    elb.remove_tags(ResourceArns=[doctor.world.balancer], TagKeys=["immutable-servers:project"])
    assert doctor.see("balancer's name").found == (
        f"{make_name(STACK)} exists without this stack's tags"
    )


def test_listeners(doctor: Doctor) -> None:
    """A port of ours is no clash; a stranger's listener is, and a redirect on a service's port."""
    assert doctor.see("listeners").found == "8080 HTTP"
    doctor.world.make_balancer()
    assert doctor.status("listeners") == "ok"
    elb = doctor.world.client("elbv2")
    elb.remove_tags(ResourceArns=[doctor.world.listener], TagKeys=["immutable-servers:stack"])
    line = doctor.see("listeners")
    assert (line.status, line.found[:5]) == ("not ok", "8080 ")
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    demand = make_demand(routes=[Route("web", 443)])
    assert doctor.see("listeners", demand, certificate=arn, redirect=80).found == (
        "80 HTTP, 443 HTTPS"
    )
    assert doctor.status("listeners", demand, certificate=arn, redirect=443) == "not ok"


def test_a_certificate_of_the_account(doctor: Doctor) -> None:
    """None is worth a word; another region's, and one that is gone, are failures."""
    assert doctor.status("certificate") == "note"
    acm = doctor.world.client("acm")
    arn = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]
    demand = make_demand(routes=[Route("web", 0, "api.example.com")])
    line = doctor.see("certificate", demand, certificate=arn)
    assert line.found == "*.example.com: PENDING_VALIDATION"
    line = doctor.see("certificate", certificate=arn.replace("eu-central-1", "us-east-1"))
    assert line.found.startswith("it is in us-east-1, the balancer in eu-central-1")
    line = doctor.see("certificate", certificate=f"{arn[:-4]}0000")
    assert line.found == "ACM has no such certificate"
    iam = "arn:aws:iam::123456789012:server-certificate/x"
    assert doctor.status("certificate", certificate=iam) == "note"


@pytest.mark.parametrize(
    ("changed", "hosts", "status"),
    [
        ({}, ["api.example.com", "example.com"], "ok"),
        ({}, ["a.b.example.com"], "not ok"),
        ({"Status": "EXPIRED"}, [], "not ok"),
        ({"Status": "FAILED", "FailureReason": "CAA_ERROR"}, [], "not ok"),
        ({"NotAfter": NOW + dt.timedelta(days=9)}, [], "note"),
        ({"NotAfter": NOW}, [], "not ok"),
    ],
)
def test_judging_a_certificate(changed: dict[str, Any], hosts: list[str], status: str) -> None:
    """It is issued, for each host of a route, and not about to expire."""
    line = judge_certificate({**CERTIFICATE, **changed}, hosts, NOW)
    assert line.status == status
    assert bool(line.todo) == (status != "ok")
    assert covers("*.example.com", "example.com") is False
