"""Looks up where servers and balancer stand: the default VPC, or what the settings name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import where

LEAST_ZONES = 2
"""Zones in which an Application Load Balancer needs subnets.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"""
MOST_ZONES = 3
"""Zones of a default VPC that are used: the balancer pays an address in each."""
OUTSIDE = ("igw-", "vpce-")
"""What a public subnet's route leads to: the internet, or a firewall's endpoint before it.
https://docs.aws.amazon.com/network-firewall/latest/developerguide/architectures.html"""

Zones = Mapping[str, str]
"""Subnets with their zone."""


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
    subnets: Zones
    balancer_subnets: Zones


def find_network(api: Api, types: Collection[str] = (), used: Collection[str] = ()) -> Network:
    """Look up the VPC and its subnets.

    Args:
        api: AWS in the stack's region.
        types: Instance types of the stack's servers.
        used: The subnets of the balancer that there is; in a default VPC it keeps them.

    Raises:
        SettingsError: There is none, or its subnets do not fit a balancer and its servers.
    """
    api, settings = api.raising(SettingsError), api.settings
    vpc = find_vpc(api)
    if settings.vpc:
        named = settings.balancer_subnets or settings.subnets
        found = _find_subnets(api, SubnetIds=[*{*settings.subnets, *named}])
        _refuse_foreign(found, vpc["VpcId"])
        zones = {one["SubnetId"]: one["AvailabilityZone"] for one in found}
        subnets: Zones = {one: zones[one] for one in settings.subnets}
        balancer: Zones = {one: zones[one] for one in named}
    else:
        subnets = balancer = _choose_default(api, vpc["VpcId"], types, used)
    _refuse_zones(subnets, balancer)
    return Network(vpc["VpcId"], vpc["CidrBlock"], subnets, balancer)


def choose_subnets(api: Api, subnets: Zones, kind: str) -> Sequence[str]:
    """Return the subnets whose zone has instances of a type; Auto Scaling would try all for ever.

    Raises:
        SettingsError: No zone has.
    """
    offered = _find_offers(api.raising(SettingsError), [kind])[kind]
    chosen = [one for one, zone in subnets.items() if zone in offered]
    if not chosen:
        raise SettingsError(
            f"No zone of the servers' subnets has instances of the type {kind}",
            facts=[
                f"subnets are in: {', '.join(sorted({*subnets.values()}))}",
                f"zones that have it: {', '.join(sorted(offered)) or f'none in {api.region}'}",
            ],
            todo="Choose another size, or name a VPC and subnets in one of these zones as subnets"
            " and balancer_subnets under immutable-servers:aws.",
        )
    return chosen


def _find_offers(api: Api, types: Collection[str]) -> Mapping[str, Collection[str]]:
    """Return the zones that have instances of a type, by type."""
    found = api.list(
        "ec2",
        "describe_instance_type_offerings",
        LocationType="availability-zone",
        Filters=[where("instance-type", *sorted(types))],
    )
    return {
        kind: {one["Location"] for one in found if one["InstanceType"] == kind} for kind in types
    }


def find_vpc(api: Api) -> Mapping[str, Any]:
    """Return the VPC that the settings name, or the default one.

    Raises:
        SettingsError: There is none.
    """
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


def _find_subnets(api: Api, **which: Any) -> Sequence[Mapping[str, Any]]:  # noqa: ANN401 - the operation's own
    return api.list("ec2", "describe_subnets", **which)


def _choose_default(api: Api, vpc: str, types: Collection[str], used: Collection[str]) -> Zones:
    """Return default subnets: those that the balancer has, or the first whose zones have all types.

    A balancer that leaves a zone sends nothing to the servers that stand there.
    """
    found = _find_subnets(api, Filters=[where("vpc-id", vpc), where("default-for-az", "true")])
    if not found:
        raise SettingsError(
            f"The default VPC in {api.region} has no default subnets",
            facts=[vpc],
            todo="Make them with `aws ec2 create-default-subnet --availability-zone ZONE`, or name"
            " a VPC and its subnets under immutable-servers:aws.",
        )
    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in found}
    if used:
        return {
            one: zone for zone, one in sorted((zones[one], one) for one in used if one in zones)
        }
    offers = _find_offers(api, types) if types else {}
    fit = {
        zone: one
        for one, zone in zones.items()
        if all(zone in offered for offered in offers.values())
    }
    if len(fit) < LEAST_ZONES:
        raise SettingsError(
            f"Fewer than {LEAST_ZONES} zones of the default VPC have all instance types",
            facts=[f"{kind}: {', '.join(sorted(offers[kind])) or 'none'}" for kind in sorted(types)]
            + [f"default subnets are in: {', '.join(sorted(zones.values()))}"],
            todo="Choose other sizes, or name a VPC, its subnets and balancer_subnets under"
            " immutable-servers:aws.",
        )
    return {fit[zone]: zone for zone in sorted(fit)[:MOST_ZONES]}


def _refuse_foreign(subnets: Sequence[Mapping[str, Any]], vpc: str) -> None:
    foreign = [subnet["SubnetId"] for subnet in subnets if subnet["VpcId"] != vpc]
    if foreign:
        raise SettingsError(
            "A subnet of the settings is in another VPC",
            facts=[f"{one} is not in {vpc}" for one in foreign],
            todo="Correct vpc or subnets under immutable-servers:aws.",
        )


def _refuse_zones(subnets: Zones, balancer: Zones) -> None:
    """Refuse what AWS does, in its words at the end of a run, or never says at all.

    A server in a zone without the balancer is `Target.NotInUse` for ever:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """
    zones = {*balancer.values()}
    if len(zones) < LEAST_ZONES:
        raise SettingsError(
            f"The balancer needs subnets in {LEAST_ZONES} zones at least",
            facts=[f"{', '.join(balancer) or 'no subnet'}: {', '.join(sorted(zones)) or 'none'}"],
            todo="Name subnets in another zone as balancer_subnets under immutable-servers:aws.",
        )
    if len(zones) < len(balancer):
        raise SettingsError(
            "The balancer takes one subnet of each zone",
            facts=_list_zones(balancer),
            todo="Name one subnet of each zone as balancer_subnets under immutable-servers:aws;"
            " the servers' subnets may be more.",
        )
    apart = {one: zone for one, zone in subnets.items() if zone not in zones}
    if apart:
        raise SettingsError(
            "Servers would stand in a zone where the balancer has no subnet, and get no traffic",
            facts=[*_list_zones(apart), f"the balancer is in: {', '.join(sorted(zones))}"],
            todo="Name a subnet of each of the servers' zones as balancer_subnets under"
            " immutable-servers:aws, or take these out of subnets.",
        )


def _list_zones(subnets: Zones) -> list[str]:
    return [f"{one}: {zone}" for one, zone in sorted(subnets.items(), key=lambda item: item[1])]


def refuse_private(api: Api, network: Network, used: Collection[str] = ()) -> None:
    """Refuse subnets that nobody on the internet reaches, where somebody has to.

    Args:
        api: AWS in the stack's region.
        network: What `find_network` found.
        used: Subnets that are in use, and so not asked for.

    Raises:
        SettingsError: There are some.
    """
    api, settings, vpc = api.raising(SettingsError), api.settings, network.vpc
    reached = [] if settings.internal else [*network.balancer_subnets]
    reached += network.subnets if settings.reach == "public" else []
    subnets = {*reached} - {*used}
    tables = (
        api.list("ec2", "describe_route_tables", Filters=[where("vpc-id", vpc)]) if subnets else []
    )
    public = {link: _leads_outside(table) for table in tables for link in _find_links(table)}
    private = sorted(one for one in subnets if not public.get(one, public.get("", False)))
    if private:
        raise SettingsError(
            "Subnets without a way to the internet would hold what is reached from there",
            facts=[f"{one}: its route table leads to no internet gateway" for one in private],
            todo="Under immutable-servers:aws name public subnets as balancer_subnets, or set"
            " internal: true; where checks reach servers by public addresses, name public subnets,"
            " or another way as verify_through.",
        )


def _find_links(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the subnets that a route table is for; the main one, for all others, yields ''."""
    for link in table["Associations"]:
        if link.get("Main"):
            yield ""
        elif link.get("SubnetId"):
            yield link["SubnetId"]


def _leads_outside(table: Mapping[str, Any]) -> bool:
    """Return whether a table routes addresses, and not a service's list of them, to the outside."""
    return any(
        (route.get("GatewayId") or "").startswith(OUTSIDE)
        and (route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock"))
        for route in table["Routes"]
    )
