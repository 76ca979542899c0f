"""Looks up where servers and balancer stand: the default VPC, or what the settings name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import where

BALANCER_ZONES = 2
"""Zones in which an Application Load Balancer needs subnets, at least."""


@dataclass(frozen=True)
class Network:
    """A VPC with the subnets that are used.

    Attributes:
        cidr: The VPC's addresses.
        subnets: Of the servers.
        balancer_subnets: Of the balancer.
    """

    vpc: str
    cidr: str
    subnets: tuple[str, ...]
    balancer_subnets: tuple[str, ...]


def find_network(api: Api) -> Network:
    """Look up the VPC and its subnets.

    Raises:
        SettingsError: There is none, or the balancer's subnets are in one zone only.
    """
    api, settings = api.raising(SettingsError), api.settings
    vpc = _find_vpc(api)
    if settings.vpc:
        subnets = settings.subnets
        named = settings.balancer_subnets or subnets
    else:
        subnets = named = _find_default_subnets(api, vpc["VpcId"])
    found = api.list("ec2", "describe_subnets", SubnetIds=[*{*subnets, *named}])
    _check(found, vpc["VpcId"], named)
    return Network(vpc["VpcId"], vpc["CidrBlock"], tuple(subnets), tuple(named))


def _find_vpc(api: Api) -> Mapping[str, Any]:
    default = {"Filters": [where("is-default", "true")]}
    wanted = {"VpcIds": [api.settings.vpc]} if api.settings.vpc else default
    vpcs = api.list("ec2", "describe_vpcs", **wanted)
    if not vpcs:
        raise SettingsError(
            f"There is no default VPC in {api.region}",
            todo="Name a VPC and its subnets under immutable-servers:aws, or make the default one"
            " with `aws ec2 create-default-vpc`.",
        )
    return dict(vpcs[0])


def _find_default_subnets(api: Api, vpc: str) -> tuple[str, ...]:
    filters = [where("vpc-id", vpc), where("default-for-az", "true")]
    found = api.list("ec2", "describe_subnets", Filters=filters)
    if not found:
        raise SettingsError(
            f"The default VPC in {api.region} has no default subnets",
            facts=[vpc],
            todo="Make them with `aws ec2 create-default-subnet --availability-zone ZONE`, or name"
            " a VPC and its subnets under immutable-servers:aws.",
        )
    return tuple(sorted(subnet["SubnetId"] for subnet in found))


def _check(subnets: Sequence[Mapping[str, Any]], vpc: str, balancers: Sequence[str]) -> None:
    foreign = [subnet["SubnetId"] for subnet in subnets if subnet["VpcId"] != vpc]
    if foreign:
        raise SettingsError(
            "A subnet of the settings is in another VPC",
            facts=[f"{one} is not in {vpc}" for one in foreign],
            todo="Correct vpc or subnets under immutable-servers:aws.",
        )
    zones = {one["AvailabilityZone"] for one in subnets if one["SubnetId"] in balancers}
    if len(zones) < BALANCER_ZONES:
        raise SettingsError(
            f"The balancer needs subnets in {BALANCER_ZONES} zones at least",
            facts=[f"{', '.join(balancers) or 'no subnet'}: {', '.join(sorted(zones)) or 'none'}"],
            todo="Name subnets in another zone as balancer_subnets under immutable-servers:aws.",
        )
