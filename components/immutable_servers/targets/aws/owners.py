"""Whose a stack is: the state that holds it, in tags of its load balancer.

No program declares these tags, so that they differ from one checkout to the next without a change
of the stack: the provider is told to ignore them.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.aws import balancer
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX, list_tags, read_tags
from immutable_servers.targets.aws.record import pack, unpack

KEY = f"{PREFIX}owner-"
MOST_TAGS = 20
"""A load balancer takes 50 tags; an owner is two or three."""


def find_owner(api: Api, scope: Scope) -> Owner | None:
    """Return whose a stack's things are; None when nobody recorded it, or it cannot be read."""
    found = balancer.find_balancer(api, scope)
    return _read(_read_tags(api, found["LoadBalancerArn"])) if found else None


def record_owner(api: Api, owner: Owner) -> None:
    """Record whose a stack's things are, when it has a load balancer."""
    found = balancer.find_balancer(api, Scope(owner.project, owner.stack))
    if found:
        write_owner(api, found["LoadBalancerArn"], owner)


def write_owner(api: Api, arn: str, owner: Owner) -> None:
    """Write an owner into the tags of a load balancer, unless it is there."""
    tags = _read_tags(api, arn)
    if _read(tags) == owner:
        return
    packed = pack(KEY, asdict(owner))
    if len(packed) > MOST_TAGS:
        return  # paths of so many characters; nobody is kept from working by that
    stale = [key for key in tags if key.startswith(KEY) and key not in packed]
    if stale:
        api.call("elbv2", "remove_tags", kind=TrafficError, ResourceArns=[arn], TagKeys=stale)
    api.call("elbv2", "add_tags", kind=TrafficError, ResourceArns=[arn], Tags=list_tags(packed))


def _read_tags(api: Api, arn: str) -> Mapping[str, str]:
    answer = api.call("elbv2", "describe_tags", kind=TrafficError, ResourceArns=[arn])
    return read_tags(answer["TagDescriptions"][0]["Tags"])


def _read(tags: Mapping[str, str]) -> Owner | None:
    try:
        found: dict[str, Any] = unpack(KEY, tags)
        return Owner(**found)
    except (ValueError, TypeError):
        return None
