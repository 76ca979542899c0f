"""Prepares a bake on an EC2 instance: Packer's variables, login, and where the instance stands."""

import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from immutable_servers.contract.values import BakeRequest
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import TAGS
from immutable_servers.targets.aws.network import find_network
from immutable_servers.targets.aws.verifier import find_verifier
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.verifier import find_sources

PRIVATE = {"ssh_interface": "private_ip", "public": "false"}


def render_variables(request: BakeRequest, api: Api) -> dict[str, str]:
    """Return the variables of `source.pkr.hcl` that do not depend on the artifact."""
    settings = api.settings
    bake = {
        "Name": f"bake {request.image} {request.version}",
        **TAGS.write(bakes.describe_bake(request)),
    }
    return {
        "region": settings.region,
        "endpoint": _find_endpoint(),
        "instance_type": settings.bake_type,
        "instance_profile": settings.build_instance_profile,
        "kms_key": settings.kms_key,
        "volume_size": str(settings.volume or 0),
        "bake_tags": json.dumps(bake),
        "lineage": json.dumps(request.lineage, sort_keys=True),
        **_find_way(api),
    }


def render_login(lock: Mapping[str, Any], launch: str) -> dict[str, str]:
    """Return the variables that hand an instance its launch data.

    Without any it is an upstream AMI, whose user `admin` takes Packer's own key; it gets the SSM
    agent that the lock names, if it names one.
    """
    if launch:
        return {"user_data": launch}
    agent = lock.get("ssm_agent") or {}
    return {"agent_url": agent.get("url", ""), "agent_sha256": agent.get("sha256", "")}


def _find_way(api: Api) -> dict[str, str]:
    """Return where the instance stands and who reaches it how, as variables.

    As with servers: from the internet, or from inside the VPC. The plugin knows ranges of IPv4
    alone (builder/common/step_security_group.go of v1.3.2), and connects to such an address.
    """
    settings = api.settings
    subnet = settings.build_subnet or next(iter(settings.subnets), "")
    way = {"subnet": subnet, "ssh_interface": "session_manager", "public": "false", "let_in": "[]"}
    if settings.build_through == "ssm":
        return way
    found = api.list("ec2", "describe_subnets", SubnetIds=[subnet])[0] if subnet else {}
    is_public = settings.reach != "private" and (
        settings.has_public_addresses or found.get("MapPublicIpOnLaunch", not subnet)
    )
    named = [one for one in settings.verify_from if ":" not in one]
    inside = partial(_find_vpc_range, api, found)
    sources = find_sources(named, is_public=is_public, own=find_verifier, inside=inside)
    side = {"ssh_interface": "public_ip", "public": "true"} if is_public else PRIVATE
    return {**way, **side, "let_in": json.dumps(sources)}


def _find_vpc_range(api: Api, subnet: Mapping[str, Any]) -> str:
    """Return the addresses of a subnet's VPC; without a subnet, of the default one."""
    if not subnet:
        return find_network(api).cidr
    return str(api.list("ec2", "describe_vpcs", VpcIds=[subnet["VpcId"]])[0]["CidrBlock"])


def _find_endpoint() -> str:
    """Return the SDK's own setting of EC2's endpoint, which Packer's plugin does not read."""
    return os.environ.get("AWS_ENDPOINT_URL_EC2") or os.environ.get("AWS_ENDPOINT_URL") or ""
