"""A probe: one open server of an artifact that serves nobody, ended whatever happens."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import FleetSpec, Login, Say
from immutable_servers.system.keys import make_key_pair
from immutable_servers.targets.aws import access, dead_bakes, ssh, template
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.login_keys import KEY, find_folder
from immutable_servers.targets.aws.names import list_tags, make_name, make_tags, name_server
from immutable_servers.targets.aws.network import Network, find_network
from immutable_servers.targets.aws.userdata import render_user_data

WINDOW_SECONDS = 30 * 60
NO_ROOM = ("Unsupported", "InsufficientInstanceCapacity")
"""What a zone says that has no such instances, or none now."""


@contextmanager
def start_probe(api: Api, spec: FleetSpec, say: Say) -> Iterator[Login]:
    """Launch a probe and yield how to log in to it; remove it at the end.

    Its key and its security group are its own. Probes whose time is over are removed first. A run
    that is told to stop does not wait for the instance's end, which holds the group: the group goes
    with those.

    Raises:
        ImageError: The artifact is gone.
        LaunchError: It takes no login in time, or AWS refuses it.
    """
    dead_bakes.remove_probes(api, spec.scope)
    ends = int(time.time()) + WINDOW_SECONDS
    folder = find_folder(spec.scope).with_name(f"{make_name(spec.scope)}-probe-{ends}")
    tags = {**make_tags(spec.scope), dead_bakes.PROBE_ENDS: str(ends)}
    group, instances = "", []
    try:
        where = find_network(api)
        group = _make_group(api, where, tags)
        api.wait("ec2", "security_group_exists", GroupIds=[group])  # not everywhere at once
        say("launching a probe")
        instances = [_launch(api, spec, where, group, tags, folder)]
        yield _find_login(api, spec, instances[0], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        dead_bakes.end_instances(api, instances)
        if group:
            dead_bakes.remove_group(api, group)


def _make_group(api: Api, where: Network, tags: Mapping[str, str]) -> str:
    ends = tags[dead_bakes.PROBE_ENDS]
    answer = api.call(
        "ec2",
        "create_security_group",
        GroupName=f"{tags['Name']}-probe-{ends}",
        Description="A probe of a generation",
        VpcId=where.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": list_tags(tags)}],
    )
    return str(answer["GroupId"])


def _launch(
    api: Api,
    spec: FleetSpec,
    where: Network,
    group: str,
    tags: Mapping[str, str],
    folder: Path,
) -> Mapping[str, Any]:
    public = make_key_pair(folder / KEY, tags["Name"])
    ends = int(tags[dead_bakes.PROBE_ENDS])
    if api.settings.reach != "ssm":
        access.let_in(api, group, spec.scope, ends)
    shape = template.render_instance(template.render_shape(api.settings, spec.launch))
    card = shape["NetworkInterfaces"][0]
    card["Groups"] = [group]
    if not api.settings.volume:
        del shape["BlockDeviceMappings"]  # the AMI's own disk, which the bake has encrypted
    shape |= {
        "ImageId": spec.artifact,
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": render_user_data(spec.scope, spec.launch, public, ends),
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": list_tags(tags)} for kind in ("instance", "volume")
        ],
    }
    return _run_somewhere(api, shape, where.subnets)


def _run_somewhere(api: Api, shape: Mapping[str, Any], subnets: Sequence[str]) -> Mapping[str, Any]:
    """Launch an instance in the first subnet whose zone has such a one now."""
    (card,) = shape["NetworkInterfaces"]
    for subnet in subnets:
        card["SubnetId"] = subnet
        missing = () if subnet == subnets[-1] else NO_ROOM
        answer = api.call("ec2", "run_instances", missing=missing, **shape)
        if answer:
            break
    launched: Mapping[str, Any] = answer["Instances"][0]
    return launched


def _find_login(api: Api, spec: FleetSpec, instance: Mapping[str, Any], folder: Path) -> Login:
    one = instance["InstanceId"]
    api.wait("ec2", "instance_running", InstanceIds=[one])
    found = dead_bakes.find_instances(api, [{"Name": "instance-id", "Values": [one]}])
    name = name_server(spec.scope, one)
    config = ssh.write_ssh_config(folder, {name: found[0]}, api.settings)
    login = Login(name, f"ssh://{name}", str(config))
    ssh.wait_until_logins([login], api.settings.boot_deadline)
    return login
