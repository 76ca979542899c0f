"""The functions that a program may call while it runs: what is there already."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_kinds import Clients
from aws_wire import Values, read_tags


def find_subnets(clients: Clients, arguments: Values) -> Values:
    """Return the ids of the subnets that match."""
    found = clients("ec2").describe_subnets(Filters=_render_filters(arguments))["Subnets"]
    return {
        **arguments,
        "id": clients("ec2").meta.region_name,
        "ids": [s["SubnetId"] for s in found],
    }


def find_subnet(clients: Clients, arguments: Values) -> Values:
    """Return the one subnet that matches."""
    ids = {"SubnetIds": [arguments["id"]]} if "id" in arguments else {}
    found = clients("ec2").describe_subnets(Filters=_render_filters(arguments), **ids)["Subnets"]
    (subnet,) = found
    return {
        **arguments,
        "id": subnet["SubnetId"],
        "vpcId": subnet["VpcId"],
        "availabilityZone": subnet["AvailabilityZone"],
        "cidrBlock": subnet["CidrBlock"],
        "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
        "tags": read_tags(subnet.get("Tags", [])),
    }


def find_vpc(clients: Clients, arguments: Values) -> Values:
    """Return the one network that matches."""
    ids = {"VpcIds": [arguments["id"]]} if "id" in arguments else {}
    filters = _render_filters(arguments)
    if arguments.get("default"):
        filters.append({"Name": "is-default", "Values": ["true"]})
    (vpc,) = clients("ec2").describe_vpcs(Filters=filters, **ids)["Vpcs"]
    return {
        **arguments,
        "id": vpc["VpcId"],
        "cidrBlock": vpc["CidrBlock"],
        "default": vpc["IsDefault"],
        "tags": read_tags(vpc.get("Tags", [])),
    }


def find_caller(clients: Clients, arguments: Values) -> Values:
    """Return whose credentials these are."""
    caller = clients("sts").get_caller_identity()
    found = {"accountId": caller["Account"], "arn": caller["Arn"], "userId": caller["UserId"]}
    return {**arguments, **found, "id": caller["Account"]}


def find_region(clients: Clients, arguments: Values) -> Values:
    """Return the region of the provider."""
    region = clients("ec2").meta.region_name
    return {**arguments, "id": region, "region": region, "name": region}


def _render_filters(arguments: Values) -> list[dict[str, Any]]:
    filters = [{"Name": f["name"], "Values": f["values"]} for f in arguments.get("filters") or ()]
    tags = (arguments.get("tags") or {}).items()
    return [*filters, *({"Name": f"tag:{key}", "Values": [value]} for key, value in tags)]


LOOKUPS: Mapping[str, Callable[[Clients, Values], Values]] = {
    "aws:ec2/getSubnet:getSubnet": find_subnet,
    "aws:ec2/getSubnets:getSubnets": find_subnets,
    "aws:ec2/getVpc:getVpc": find_vpc,
    "aws:index/getCallerIdentity:getCallerIdentity": find_caller,
    "aws:index/getRegion:getRegion": find_region,
}
