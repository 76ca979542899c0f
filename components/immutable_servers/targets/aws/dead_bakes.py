"""What bakes and probes that were killed left behind: found by tags, removed by the next run."""

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Say, Scope
from immutable_servers.errors import ImageError, ImmutableError, LaunchError
from immutable_servers.system.places import data_dir
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX, make_filters, read_tags
from immutable_servers.targets.shared.bake_locks import is_held

BAKE = f"{PREFIX}bake"
BAKE_ENDS = f"{PREFIX}bake-ends"
BAKE_HOST = f"{PREFIX}bake-host"
PROBE_ENDS = f"{PREFIX}probe-ends"
MOST_TAG = 255
ALIVE = ("pending", "running", "stopping", "stopped")


def remove_bakes(api: Api, image: str, version: str, say: Say) -> None:
    """Remove instance, key and security group of dead bakes of an image.

    A bake of this machine's is dead when nobody holds its version's lock, or the caller does, who
    is about to bake `version`; another machine's is when its time is over.
    """

    def is_dead(one: Mapping[str, Any]) -> bool:
        return _is_over(one, BAKE_ENDS) or _is_ours_and_dead(one, image, version)

    filters: list[dict[str, Any]] = [{"Name": f"tag:{BAKE}", "Values": [image]}]
    instances = [one for one in find_instances(api, filters) if is_dead(one)]
    if instances:
        say(f"removes what a killed bake left: {', '.join(one['InstanceId'] for one in instances)}")
    end_instances(api, instances)
    for key in api.list("ec2", "describe_key_pairs", "KeyPairs", kind=ImageError, Filters=filters):
        if is_dead(key):
            api.call("ec2", "delete_key_pair", kind=ImageError, KeyName=key["KeyName"])
    remove_groups(api, filters, is_dead)


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
            remove_group(api, one["GroupId"], kind=ImageError)


def remove_group(api: Api, group: str, kind: type[ImmutableError] = LaunchError) -> None:
    """Delete a security group; one that is gone is no error.

    The network card of an instance that has just ended holds it for some time.
    """
    api.call(
        "ec2",
        "delete_security_group",
        kind=kind,
        missing=("InvalidGroup.NotFound",),
        again=("DependencyViolation", "InvalidGroup.InUse"),
        GroupId=group,
    )


def name_machine() -> str:
    """Return what a bake's tag says of who bakes: machine, and where its locks are."""
    return f"{socket.gethostname()}:{data_dir()}"[:MOST_TAG]


def _is_ours_and_dead(one: Mapping[str, Any], image: str, version: str) -> bool:
    tags = read_tags(one.get("Tags"))
    if tags.get(BAKE_HOST) != name_machine():
        return False
    baked = tags.get(f"{PREFIX}version", "")
    return baked == version or not is_held("aws", image, baked)


def _is_over(one: Mapping[str, Any], key: str) -> bool:
    return float(read_tags(one.get("Tags")).get(key) or 0) < time.time()
