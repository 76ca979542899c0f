"""Looks at zones, free addresses and routes of the subnets that a stack uses."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.aws.names import where
from immutable_servers.targets.aws.network import refuse_private
from immutable_servers.targets.aws.readiness.asked import Asked

BALANCER_ADDRESSES = 8
"""Free addresses that each subnet of a load balancer needs.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer"""
OUTSIDE = ("0.0.0.0/0", "::/0")
SSM_ENDPOINTS = ("ssm", "ssmmessages")
"""https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html"""
NAT = "Give them a route to a NAT gateway"


def check_network(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether VPC, subnets and zones fit; what is wrong is in the preview's words."""
    network = asked.network
    subnets = _find_subnets(asked, {*network.subnets, *network.balancer_subnets})
    zones = {one["SubnetId"]: one["AvailabilityZone"] for one in subnets}
    servers = sorted({zones[one] for one in network.subnets})
    balancer = sorted({zones[one] for one in network.balancer_subnets})
    said = f"{network.vpc}: servers in {', '.join(servers)}; balancer in {', '.join(balancer)}"
    yield Finding(what, "ok", said)


def check_types(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether zones have the instance types; servers do without a zone that lacks theirs."""
    if not asked.has_network:
        return
    wanted = _find_zones(asked)
    found = asked.api.list(
        "ec2",
        "describe_instance_type_offerings",
        LocationType="availability-zone",
        Filters=[where("instance-type", *asked.wanted_types)],
    )
    offered = {(one["InstanceType"], one["Location"]) for one in found}
    lacking = [
        (f"{kind} in {', '.join(without)}", without == there)
        for kind, there in wanted
        for without in [[zone for zone in there if (kind, zone) not in offered]]
        if without
    ]
    wrong = [
        one
        for one in asked.wanted_types
        if asked.types.get(one)
        and asked.settings.architecture
        not in asked.types[one]["ProcessorInfo"]["SupportedArchitectures"]
    ]
    said = f"not offered: {'; '.join(words for words, _ in lacking)}"
    if any(everywhere for _, everywhere in lacking):
        todo = "Name subnets in other zones, or another size (build_size for bakes)."
        yield Finding(what, "not ok", said, todo)
    elif wrong:
        said = f"{', '.join(wrong)}: not {asked.settings.architecture}"
        yield Finding(what, "not ok", said, "Correct `architecture`, or the size.")
    elif lacking:
        yield Finding(what, "note", said, "They are launched in the other zones alone.")
    else:
        words = "; ".join(f"{kind} in {', '.join(there)}" for kind, there in wanted)
        yield Finding(what, "ok", words)


def check_addresses(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the subnets have free addresses enough for servers, bake and balancer."""
    if not asked.has_network:
        return
    network = asked.network
    subnets = _find_subnets(asked, {*network.subnets, *network.balancer_subnets})
    free = {one["SubnetId"]: int(one["AvailableIpAddressCount"]) for one in subnets}
    ours = sum(asked.is_ours(one) for one in asked.instances)
    most = sum(one.most for one in asked.demand.services.values())
    want = max(most - ours, 0) + 1
    have = sum(free[one] for one in network.subnets)
    said = f"{have} free for servers, {want} more wanted at most with a bake"
    if have < want:
        yield Finding(what, "not ok", said, "Name more or larger subnets, or take fewer servers.")
        return
    small = [one for one in network.balancer_subnets if free[one] < BALANCER_ADDRESSES]
    if small and not asked.existing:
        least = f"the balancer needs {BALANCER_ADDRESSES} in each of its subnets"
        words = ", ".join(f"{one}: {free[one]} free" for one in small)
        yield Finding(what, "not ok", f"{least}; {words}", "Name other balancer_subnets.")
        return
    yield Finding(what, "ok", said)


def check_way_in(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether people reach the balancer; what is wrong is in the preview's words."""
    if not asked.has_network:
        return
    refuse_private(asked.api, asked.network)
    if asked.settings.internal:
        yield Finding(what, "ok", "internal: it is seen in the VPC only")
    else:
        subnets = ", ".join(asked.network.balancer_subnets)
        yield Finding(what, "ok", f"an internet gateway from {subnets}")


def check_way_out(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the servers reach what the way of their checks needs."""
    if not asked.has_network:
        return
    closed = _find_closed(asked, asked.network.subnets, public=asked.settings.has_public_addresses)
    if not closed:
        yield Finding(what, "ok", f"out of {', '.join(asked.network.subnets)}")
        return
    said = f"no way out of {', '.join(closed)}"
    if asked.settings.reach != "ssm":
        todo = f"{NAT} if the application needs one."
        yield Finding(what, "note", said, todo)
        return
    lacking = _find_lacking_endpoints(asked)
    if lacking:
        todo = f"{NAT}, or make the endpoints, or set verify_through."
        yield Finding(what, "not ok", f"{said}, and no endpoint of {', '.join(lacking)}", todo)
    else:
        todo = f"{NAT} if the application needs one."
        yield Finding(what, "note", f"{said}; the endpoints of Session Manager are there", todo)


def check_bakes_way_out(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether a bake reaches the packages."""
    if not asked.has_network:
        return
    subnet = _find_build_subnet(asked)
    # A bake's instance has a public address where its subnet gives one.
    (found,) = _find_subnets(asked, {subnet})
    public = bool(found["MapPublicIpOnLaunch"])
    closed = _find_closed(asked, [subnet], public=public)
    if closed:
        todo = f"{NAT}, name another build_subnet, or set bake: proxy to one that they reach."
        yield Finding(what, "not ok", f"no way out of {subnet}", todo)
    else:
        yield Finding(what, "ok", f"out of {subnet}")


def leads_to(routes: Sequence[Mapping[str, Any]], *kinds: str) -> bool:
    """Return whether a route that works leads outside, to a thing whose id begins so."""
    keys = ("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "InstanceId")
    return any(
        str(route.get(key, "")).startswith(kinds)
        for route in routes
        if route.get("State", "active") == "active"
        and route.get("DestinationCidrBlock", route.get("DestinationIpv6CidrBlock")) in OUTSIDE
        for key in (*keys, "EgressOnlyInternetGatewayId", "VpcPeeringConnectionId")
    )


def _find_closed(asked: Asked, subnets: Collection[str], *, public: bool) -> Sequence[str]:
    """Return the subnets out of which no route leads that a server there can use."""
    routes = _find_routes(asked)
    ways = ("nat-", "tgw-", "eni-", "i-", "pcx-", "vgw-", *(["igw-"] if public else []))
    return [one for one in subnets if not leads_to(routes(one), *ways)]


def _find_routes(asked: Asked) -> Any:  # noqa: ANN401 - a function of a subnet
    """Return a function from a subnet to its routes: of its own table, or of the VPC's main one."""
    network = asked.network
    tables = asked.api.list("ec2", "describe_route_tables", Filters=[where("vpc-id", network.vpc)])
    own: dict[str, Sequence[Mapping[str, Any]]] = {}
    for table in tables:
        for link in table.get("Associations", []):
            own["" if link.get("Main") else link.get("SubnetId", "-")] = table["Routes"]
    return lambda subnet: own.get(subnet, own.get("", ()))


def _find_lacking_endpoints(asked: Asked) -> Sequence[str]:
    filters = [where("vpc-id", asked.network.vpc)]
    found = asked.api.list("ec2", "describe_vpc_endpoints", Filters=filters)
    there = {one["ServiceName"].rpartition(".")[2] for one in found}
    return [one for one in SSM_ENDPOINTS if one not in there]


def _find_subnets(asked: Asked, subnets: set[str]) -> Sequence[Mapping[str, Any]]:
    return asked.api.list("ec2", "describe_subnets", SubnetIds=sorted(subnets))


def _find_build_subnet(asked: Asked) -> str:
    return asked.settings.build_subnet or next(iter(asked.network.subnets))


def _find_zones(asked: Asked) -> Sequence[tuple[str, Sequence[str]]]:
    """Return the instance types with the zones that are tried for them."""
    there = {*asked.network.subnets.values()}
    settings, bakes = asked.settings, there
    if settings.vpc or settings.build_subnet:  # else AWS chooses one that has it
        (build,) = _find_subnets(asked, {_find_build_subnet(asked)})
        bakes = {build["AvailabilityZone"]}
    kinds = {(one, *sorted(there)) for one in asked.server_types.values()}
    kinds.add((settings.bake_type, *sorted(bakes)))
    return [(kind, zones) for kind, *zones in sorted(kinds)]
