"""The way to a server's SSH port, which is there only while its generation's window is open."""

import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from immutable_servers.contract.values import Login, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.aws import fleets, network, servers, ssh
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.login_keys import KEY, delete_key, find_folder
from immutable_servers.targets.aws.names import (
    PREFIX,
    list_tags,
    make_filters,
    make_tags,
    name_server,
    read_tags,
)

ENDS = f"{PREFIX}window-ends"
"""Tag of a rule that lets the verifier in: when it has no right to be there any more."""
WINDOW_SECONDS = 30 * 60
LOGIN_SECONDS = 120.0
ADDRESS_URL = "https://checkip.amazonaws.com"
_ANSWER_SECONDS = 10
_SSH = 22


def find_logins(api: Api, scope: Scope) -> list[Login]:
    """Return how to log in to each server, when each takes a login.

    Raises:
        LaunchError: The window is closed, the key is on another machine, or a server takes no
            login in time.
    """
    key = find_folder(scope) / KEY
    logins = describe_logins(api, scope)
    if not logins:
        raise LaunchError(
            f"The login window of {scope.service}-{scope.generation} is closed",
            facts=[f"{key}: {'is here' if key.exists() else 'is not here'}"],
            todo="Run ./immutable up where the generation was launched, or after its window (30"
            " min) anywhere: it is made again then.",
        )
    open_way(api, scope, int(time.time()) + WINDOW_SECONDS)
    ssh.wait_until_logins(logins, LOGIN_SECONDS)
    return logins


def describe_logins(api: Api, scope: Scope) -> list[Login]:
    """Write how to log in to each server; nothing where the key is not, or not any more."""
    folder = find_folder(scope)
    instances = servers.find_instances(api, scope) if (folder / KEY).exists() else {}
    if not instances:
        return []
    names = {name_server(scope, one): found for one, found in sorted(instances.items())}
    config = ssh.write_ssh_config(folder, names, api.settings)
    return [Login(name, f"ssh://{name}", str(config)) for name in names]


def close_window(api: Api, scope: Scope, say: Say) -> None:
    """Seal every server, close the way to them, and let AWS heal and scale them from now on.

    A server that came when the others had been checked is ended: the group makes it again, sealed.

    Raises:
        LaunchError: A server still takes logins.
    """
    config = find_folder(scope) / "ssh_config"
    names = ssh.find_names(config) if config.exists() else []
    late = _find_late(api, scope, names)
    for name in names:
        said = ssh.run_remote(config, name, ssh.SEAL_COMMAND)
        if not ssh.run_remote(config, name, "true"):
            raise LaunchError(
                f"The server {name} did not seal itself",
                facts=[said or f"{ssh.SEAL_COMMAND} said nothing, and a login still works"],
                todo="Look at the base image's seal, then run this again.",
            )
    close_way(api, scope)
    close_stale_ways(api, scope)
    delete_key(scope)
    fleets.seal_template(api, scope)
    for one in late:
        say(f"ends {name_server(scope, one)}: it came when the others had been checked")
        fleets.end_server(api, one)
    fleets.resume(api, scope)
    if names:
        say(f"sealed {', '.join(names)}")


def _find_late(api: Api, scope: Scope, names: Sequence[str]) -> list[str]:
    """Return the servers of a fleet that is about to be sealed which nobody has checked."""
    found = servers.find_instances(api, scope) if names else {}
    return sorted(one for one in found if name_server(scope, one) not in names)


def open_way(api: Api, scope: Scope, ends: int) -> None:
    """Let the verifier in to a generation's servers while its key is here and its window is open.

    Through SSM no port is opened.
    """
    close_stale_ways(api, scope)
    is_open = ends > time.time() and (find_folder(scope) / KEY).exists()
    if not is_open or api.settings.reach == "ssm" or find_ways(api, scope):
        return
    for group in fleets.find_security_groups(api, scope):
        let_in(api, group["GroupId"], scope, ends)


def let_in(api: Api, group: str, scope: Scope, ends: int) -> None:
    """Add the rule for SSH to a security group, with the time when it has to be gone."""
    tags = {**make_tags(scope), ENDS: str(ends)}
    api.call(
        "ec2",
        "authorize_security_group_ingress",
        missing=("InvalidPermission.Duplicate",),
        GroupId=group,
        IpPermissions=[_render_permission(find_sources(api))],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": list_tags(tags)}],
    )


def close_way(api: Api, scope: Scope) -> None:
    """Remove the rules that let the verifier in; none is no error."""
    revoke(api, find_ways(api, scope))


def close_stale_ways(api: Api, scope: Scope) -> None:
    """Remove rules of the stack that a killed run left behind."""
    stack, now = replace(scope, service="", generation=""), time.time()
    rules = find_ways(api, stack)
    revoke(api, [one for one in rules if float(read_tags(one["Tags"])[ENDS]) < now])


def find_ways(api: Api, scope: Scope) -> list[Mapping[str, Any]]:
    """Return the rules that let a verifier in to a generation, or to any of a stack."""
    groups = {
        one["GroupId"]
        for one in api.list(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=make_filters(scope)
        )
    }
    if not groups:
        return []
    rules = api.list(
        "ec2",
        "describe_security_group_rules",
        "SecurityGroupRules",
        Filters=[{"Name": "group-id", "Values": sorted(groups)}],
    )
    return [one for one in rules if ENDS in read_tags(one.get("Tags"))]


def find_sources(api: Api) -> Sequence[str]:
    """Return who is let in: as the settings say, or this machine, or the whole VPC."""
    settings = api.settings
    if settings.verify_from:
        return settings.verify_from
    if settings.reach == "public":
        return [find_own_address(ADDRESS_URL)]
    return [network.find_network(api).cidr]


def find_own_address(url: str) -> str:
    """Return the address that this machine has in the internet, as a range of one.

    Raises:
        LaunchError: It cannot be found out.
    """
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - a constant
            return str(ip_network(answer.read(64).decode("ascii").strip()))
    except (OSError, ValueError) as error:
        raise LaunchError(
            "The address of this machine cannot be found out",
            facts=[f"{url}: {error}"],
            todo="Name it as verify_from under immutable-servers:aws, such as 203.0.113.7/32.",
        ) from error


def _render_permission(sources: Sequence[str]) -> dict[str, Any]:
    about = "verifier, while a login window is open"
    return {
        "IpProtocol": "tcp",
        "FromPort": _SSH,
        "ToPort": _SSH,
        "IpRanges": [{"CidrIp": one, "Description": about} for one in sources if ":" not in one],
        "Ipv6Ranges": [{"CidrIpv6": one, "Description": about} for one in sources if ":" in one],
    }


def revoke(api: Api, rules: Sequence[Mapping[str, Any]]) -> None:
    """Remove rules of security groups; what is gone is no error."""
    for rule in rules:
        api.call(
            "ec2",
            "revoke_security_group_ingress",
            missing=("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"),
            GroupId=rule["GroupId"],
            SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
        )
