"""Reaches the servers' SSH port while their generation's login window is open, and no longer."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import FleetSpec, Say, Scope
from immutable_servers.errors import LaunchError, SettingsError, SetupError
from immutable_servers.system.places import data_dir
from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.names import (
    PREFIX,
    TAGS,
    make_filters,
    make_name,
    make_tags,
    name_server,
    read_words,
    specify_tags,
    where,
)
from immutable_servers.targets.aws.network import Network, find_network
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.access import CloudAccess, find_own_address
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.shared.ssh import Host, Way

ADDRESS_URL = "https://checkip.amazonaws.com"
SSM_TOOLS = ("aws", "session-manager-plugin")
NO_ROOM = ("Unsupported", "InsufficientInstanceCapacity")
"""Codes of a zone that has no such instances, or none now."""


class AwsAccess(CloudAccess):
    """Logs in directly, through a jump host, or through Session Manager."""

    login_seconds = 120.0
    login_todo = (
        "See that verify_through and verify_from under immutable-servers:aws fit the network, then"
        " run the update again."
    )

    def __init__(self, fleets: AwsFleets) -> None:
        self.fleets, self.api, self.settings = fleets, fleets.api, fleets.api.settings
        self.probe_seconds = self.settings.boot_deadline

    def _folder(self, scope: Scope) -> Path:
        return data_dir() / "aws" / make_name(scope)

    def _find_hosts(self, scope: Scope) -> Sequence[Host]:
        found = self.fleets.find_instances(scope)
        return [self._find_host(scope, found[instance]) for instance in sorted(found)]

    def _find_host(self, scope: Scope, instance: Mapping[str, Any]) -> Host:
        """Return a server as ssh finds it: a host key that EC2 could keep would be no secret."""
        keys = {"ssm": "InstanceId", "public": "PublicIpAddress"}
        address = instance.get(keys.get(self.settings.reach, "PrivateIpAddress"))
        if not address:
            raise LaunchError(
                f"The server {instance['InstanceId']} has no public address to log in to",
                todo="Set verify_through under immutable-servers:aws to ssm, private, jump or"
                " ssh_config.",
            )
        return Host(name_server(scope, instance["InstanceId"]), address)

    def _find_way(self, folder: Path) -> Way:
        del folder
        settings = self.settings
        if settings.reach == "jump":
            return Way([f"ProxyJump {settings.jump_host}"])
        if settings.reach == "ssh_config":
            return Way(include=Path(settings.ssh_config).expanduser().resolve())
        if settings.reach != "ssm":
            return Way()
        profile = f" --profile {settings.profile}" if settings.profile else ""
        session = f"aws ssm start-session --region {settings.region}{profile} --target %h"
        document = "--document-name AWS-StartSSHSession --parameters portNumber=%p"
        return Way([f"ProxyCommand {session} {document}"])

    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the rules with an end that carry the scope's tags; an empty scope is any's."""
        ended = where(f"tag:{PREFIX}{ends.WINDOW}", "*")
        return [
            Thing(f"{rule['GroupId']}/{rule['SecurityGroupRuleId']}", read_words(rule))
            for rule in self.api.find_security_rules(ended, *make_filters(scope))
        ]

    def remove_way(self, name: str) -> None:
        """Remove a rule by the names of its security group and its own."""
        group, _, rule = name.partition("/")
        self.api.call(
            "ec2",
            "revoke_security_group_ingress",
            missing=("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"),
            GroupId=group,
            SecurityGroupRuleIds=[rule],
        )

    def _let_in(self, scope: Scope, end: int) -> None:
        if self.settings.reach != "ssm":  # through Session Manager no port is opened
            for group in self.api.find_security_groups(*make_filters(scope)):
                self.let_in(group["GroupId"], scope, end)

    def let_in(self, group: str, scope: Scope, end: int) -> None:
        """Add the rule for SSH to a security group, with the time when it has to be gone."""
        tags = {**make_tags(scope), **TAGS.write({ends.WINDOW: str(end)})}
        about = "verifier, while a login window is open"
        sources = self._find_sources()
        v4 = [{"CidrIp": one, "Description": about} for one in sources if ":" not in one]
        v6 = [{"CidrIpv6": one, "Description": about} for one in sources if ":" in one]
        port = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        self.api.call(
            "ec2",
            "authorize_security_group_ingress",
            missing=("InvalidPermission.Duplicate",),
            GroupId=group,
            IpPermissions=[{**port, "IpRanges": v4, "Ipv6Ranges": v6}],
            TagSpecifications=specify_tags(tags, "security-group-rule"),
        )

    def _find_sources(self) -> Sequence[str]:
        """Return who is let in: as the settings say, or this machine, or the whole VPC."""
        if self.settings.verify_from:
            return self.settings.verify_from
        if self.settings.reach == "public":
            return [find_verifier()]
        return [find_network(self.api).cidr]

    def _seal_later_servers(self, scope: Scope) -> None:
        self.fleets.groups.seal_template(scope)

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        """Let AWS heal and scale the fleet from now on, too."""
        super()._close_way(scope, sealed, say)
        self.fleets.groups.resume(scope)

    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        for instance in sorted(self.fleets.find_instances(scope)):
            name = name_server(scope, instance)
            if name not in checked:
                say(f"ends {name}: it came when the others had been checked")
                self.fleets.groups.end_server(instance)

    def remove_probes(self, scope: Scope) -> None:
        """Remove their instances, then their security groups."""
        filters = [*make_filters(scope), where("tag-key", f"{PREFIX}{ends.PROBE}")]
        is_over = partial(ends.is_over, end=ends.PROBE)
        self.api.remove_dead(is_over, lambda _line: None, *filters)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        """Launch an instance outside of any group, with a security group of its own."""
        del folder, say
        tags = {**make_tags(spec.scope), **TAGS.write({ends.PROBE: str(spec.window_ends)})}
        network = find_network(self.api)
        group, instances = self._make_group(network, tags, spec), []
        try:
            which = where("group-id", group)  # it is not known everywhere at once
            self.api.wait(f"the group {group}", lambda: self.api.find_security_groups(which))
            if self.settings.reach != "ssm":
                self.let_in(group, spec.scope, spec.window_ends)
            instances = [self._launch(spec, network, group, tags)]
            found = self.api.wait_until_started(instances[0])
            yield self._find_host(spec.scope, found)
        finally:
            self.api.end_instances(instances)
            self.api.delete_security_group(group)

    def _make_group(self, network: Network, tags: Mapping[str, str], spec: FleetSpec) -> str:
        answer = self.api.call(
            "ec2",
            "create_security_group",
            GroupName=f"{tags['Name']}-probe-{spec.window_ends}",
            Description="A probe of a generation",
            VpcId=network.vpc,
            TagSpecifications=specify_tags(tags, "security-group"),
        )
        return str(answer["GroupId"])

    def _launch(
        self, spec: FleetSpec, network: Network, group: str, tags: Mapping[str, str]
    ) -> str:
        """Launch an instance in the first subnet whose zone has such a one now."""
        shape = template.render_instance(template.render_shape(self.settings, spec.launch))
        (card,) = shape["NetworkInterfaces"]
        card["Groups"] = [group]
        if not self.settings.volume:
            del shape["BlockDeviceMappings"]  # the AMI's own disk, which the bake has encrypted
        opening = (spec.public_key, spec.window_ends)
        user_data = template.render_user_data(spec.scope, spec.launch, *opening)
        shape |= {
            "ImageId": spec.artifact,
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": user_data,
            "TagSpecifications": specify_tags(tags, "instance", "volume"),
        }
        for subnet in network.subnets:
            card["SubnetId"] = subnet
            missing = () if subnet == network.subnets[-1] else NO_ROOM
            answer = self.api.call("ec2", "run_instances", missing=missing, **shape)
            if answer:
                break
        return str(answer["Instances"][0]["InstanceId"])


def check_route(settings: AwsSettings) -> None:
    """Refuse to go on when this machine lacks what a login needs, before anything is launched.

    Raises:
        SetupError: A tool for Session Manager is missing.
        SettingsError: The user's ssh configuration does not exist.
    """
    missing = [tool for tool in SSM_TOOLS if settings.reach == "ssm" and not shutil.which(tool)]
    if missing:
        raise SetupError(
            "Checks reach servers through Session Manager, and this machine lacks"
            f" {' and '.join(missing)}",
            todo="Install them: https://docs.aws.amazon.com/systems-manager/latest/userguide/"
            "session-manager-working-with-install-plugin.html; or set verify_through under"
            " immutable-servers:aws.",
        )
    if settings.reach == "ssh_config" and not Path(settings.ssh_config).expanduser().is_file():
        raise SettingsError(
            "The ssh configuration that verify_through names does not exist",
            facts=[settings.ssh_config],
            todo="Correct ssh_config under immutable-servers:aws.",
        )


def find_verifier() -> str:
    """Return this machine's address in the internet, as a range of one."""
    todo = "Name it as verify_from under immutable-servers:aws, such as 203.0.113.7/32."
    return find_own_address(ADDRESS_URL, todo)
