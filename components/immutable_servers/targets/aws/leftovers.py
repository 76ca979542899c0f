"""What bakes and probes that were killed left behind: found by tags, removed by the next run."""

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX, make_filters, read_tags
from immutable_servers.targets.values import Say, Scope

BAKE = f"{PREFIX}bake"
BAKE_ENDS = f"{PREFIX}bake-ends"
BAKE_HOST = f"{PREFIX}bake-host"
PROBE_ENDS = f"{PREFIX}probe-ends"
ALIVE = ("pending", "running", "stopping", "stopped")


def remove_bakes(api: Api, image: str, say: Say) -> None:
    """Remove instance, key and security group of dead bakes of an image.

    A bake of this machine's is dead, since one that lives holds the version's lock; another
    machine's is when its time is over.
    """
    filters: list[dict[str, Any]] = [{"Name": f"tag:{BAKE}", "Values": [image]}]
    instances = [one for one in find_instances(api, filters) if _is_dead(one)]
    if instances:
        say(f"removes what a killed bake left: {', '.join(one['InstanceId'] for one in instances)}")
    end_instances(api, instances)
    for key in api.list("ec2", "describe_key_pairs", "KeyPairs", kind=ImageError, Filters=filters):
        if _is_dead(key):
            api.call("ec2", "delete_key_pair", kind=ImageError, KeyName=key["KeyName"])
    remove_groups(api, filters, _is_dead)


def remove_probes(api: Api, scope: Scope) -> None:
    """Remove probes of a generation, or of any of a stack, whose time is over."""
    filters = [*make_filters(scope), {"Name": "tag-key", "Values": [PROBE_ENDS]}]
    end_instances(api, [one for one in find_instances(api, filters) if _is_over(one, PROBE_ENDS)])
    remove_groups(api, filters, lambda one: _is_over(one, PROBE_ENDS))


def find_instances(api: Api, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the instances with these tags that are not gone."""
    alive = {"Name": "instance-state-name", "Values": list(ALIVE)}
    reservations = api.list(
        "ec2", "describe_instances", "Reservations", kind=ImageError, Filters=[*filters, alive]
    )
    return [one for reservation in reservations for one in reservation["Instances"]]


def end_instances(api: Api, instances: Sequence[Mapping[str, Any]]) -> None:
    """Terminate instances, and wait until they are gone; they hold their security groups."""
    ids = [one["InstanceId"] for one in instances]
    if ids:
        api.call("ec2", "terminate_instances", kind=ImageError, InstanceIds=ids)
        api.wait("ec2", "instance_terminated", kind=ImageError, InstanceIds=ids)


def remove_groups(api: Api, filters: Sequence[Mapping[str, Any]], is_dead: Any) -> None:  # noqa: ANN401 - a callable
    """Delete security groups with these tags that are dead."""
    for one in api.list(
        "ec2", "describe_security_groups", "SecurityGroups", kind=ImageError, Filters=list(filters)
    ):
        if is_dead(one):
            api.call(
                "ec2",
                "delete_security_group",
                kind=ImageError,
                missing=("InvalidGroup.NotFound",),
                GroupId=one["GroupId"],
            )


def _is_dead(one: Mapping[str, Any]) -> bool:
    tags = read_tags(one.get("Tags"))
    return tags.get(BAKE_HOST) == socket.gethostname()[:255] or _is_over(one, BAKE_ENDS)


def _is_over(one: Mapping[str, Any], key: str) -> bool:
    return float(read_tags(one.get("Tags")).get(key) or 0) < time.time()
