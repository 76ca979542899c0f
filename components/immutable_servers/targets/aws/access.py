"""Reaches the servers' SSH port while their generation's login window is open, and no longer."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import FleetSpec, Say, Scope
from immutable_servers.errors import LaunchError
from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.names import (
    PREFIX,
    TAGS,
    make_filters,
    make_name,
    make_tags,
    name_server,
    read_tags,
    read_words,
    specify_tags,
    where,
)
from immutable_servers.targets.aws.needs import NEEDS
from immutable_servers.targets.aws.network import Network, find_network, find_vpc
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.verifier import find_verifier
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.access import CloudAccess
from immutable_servers.targets.cloud.ends import Thing
from immutable_servers.targets.cloud.verifier import find_sources
from immutable_servers.targets.shared.host_keys import read_host_key
from immutable_servers.targets.shared.ssh import Host, Way

NO_ROOM = ("Unsupported", "InsufficientInstanceCapacity")
"""Codes of a zone that has no such instances, or none now."""


class AwsAccess(CloudAccess):
    """Logs in directly, by the user's ssh configuration, or through Session Manager."""

    fleets: AwsFleets
    api: Api
    settings: AwsSettings
    variables = NEEDS.variables
    _name = staticmethod(make_name)
    login_todo = (
        "See that verify_through and verify_from under immutable-servers:aws fit the network, then"
        " run the update again."
    )
    keys_todo = (
        "Use an instance type on Nitro, whose console AWS shows at once, and the base image's seal;"
        " or set verify_through under immutable-servers:aws to private, ssm or ssh_config."
    )

    def _find_host(self, scope: Scope, instance: Mapping[str, Any]) -> Host:
        """Return a server as ssh finds it, with what AWS's API shows of its host key.

        A host key that its launch handed over would be in the state, and on the server for all.
        """
        keys = {"ssm": "InstanceId", "public": "PublicIpAddress"}
        address = instance.get(keys.get(self.settings.reach, "PrivateIpAddress"))
        if not address:
            raise LaunchError(
                f"The server {instance['InstanceId']} has no public address to log in to",
                todo="Set verify_through under immutable-servers:aws to ssm, private or"
                " ssh_config.",
            )
        one = instance["InstanceId"]
        key = read_host_key(self.fleets.find_console(instance)) if self._is_strict else ""
        return Host(name_server(scope, one), address, key=key)

    def _find_way(self, folder: Path) -> Way:
        way, settings = super()._find_way(folder), self.settings
        if settings.reach != "ssm":
            return way
        profile = f" --profile {shlex.quote(settings.profile)}" if settings.profile else ""
        session = f"aws ssm start-session --region {settings.region}{profile} --target %h"
        document = "--document-name AWS-StartSSHSession --parameters portNumber=%p"
        return replace(way, options=[f"ProxyCommand {session} {document}"])

    def find_ways(self, scope: Scope) -> Sequence[Thing]:
        """Return the rules with an end that carry the scope's tags; an empty scope is any's."""
        return [Thing(_name_way(rule), read_words(rule)) for rule in self._find_rules(scope)]

    def _find_rules(self, scope: Scope, group: str = "") -> Sequence[Mapping[str, Any]]:
        """Return them as EC2 describes them; the question is the stack's, or one group's."""
        of_any = [where(f"tag:{PREFIX}{ends.WINDOW}", "*")]
        within = [where("group-id", group)] if group else []
        found = self.api.find_security_rules(*within, *(make_filters(scope.of_stack) or of_any))
        wanted = TAGS.write_scope(scope).items()
        return [
            rule
            for rule in found
            if ends.WINDOW in read_words(rule) and read_tags(rule.get("Tags")).items() >= wanted
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
        """Let the verifier in to a security group's SSH, with the time when that has to be over.

        This machine's address may have changed since: the rule of the one before is removed.
        """
        rules = {_find_source(rule): rule for rule in self._find_rules(scope, group)}
        sources = find_sources(
            self.settings.verify_from,
            is_public=self._is_strict,
            own=find_verifier,
            inside=lambda: find_vpc(self.api)["CidrBlock"],
        )
        if missing := [one for one in sources if one not in rules]:
            self._authorize(group, scope, end, missing)
        for source in rules.keys() - {*sources}:
            self.remove_way(_name_way(rules[source]))

    def _authorize(self, group: str, scope: Scope, end: int, sources: Sequence[str]) -> None:
        tags = {**make_tags(scope), **TAGS.write({ends.WINDOW: str(end)})}
        about = "verifier, while a login window is open"
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

    def _seal_later_servers(self, scope: Scope) -> None:
        self.fleets.groups.seal_template(scope)

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        """Let AWS heal and scale the fleet from now on, too."""
        super()._close_way(scope, sealed, say)
        self.fleets.groups.resume(scope)
        self.fleets.groups.mark_sealed(scope)

    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        for instance in sorted(self.fleets.find_instances(scope)):
            name = name_server(scope, instance)
            if name not in checked:
                say(f"ends {name}: it came when the others had been checked")
                self.fleets.groups.end_server(instance)

    def remove_probes(self, scope: Scope) -> None:
        """Remove their instances, then their security groups, without which there are none."""
        groups = self.api.find_security_groups(*make_filters(scope.of_stack))
        if not any(ends.PROBE in read_words(group) for group in groups):
            return
        filters = [*make_filters(scope), where("tag-key", f"{PREFIX}{ends.PROBE}")]
        is_over = partial(ends.is_over, end=ends.PROBE)
        self.api.remove_dead(is_over, lambda _line: None, *filters)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        """Launch an instance outside of any group, with a security group of its own."""
        del folder, say
        tags = {**make_tags(spec.scope), **TAGS.write({ends.PROBE: str(spec.window_ends)})}
        kind = self.settings.find_size(spec.launch.size)
        network = find_network(self.api, [kind])
        group, instances = self._make_group(network, tags, spec), []
        try:
            which = where("group-id", group)  # it is not known everywhere at once
            self.api.wait(f"the group {group}", lambda: self.api.find_security_groups(which))
            if self.settings.reach != "ssm":
                self.let_in(group, spec.scope, spec.window_ends)
            instances = [self._launch(spec, network, group, tags)]
            found = self.api.wait_until_started(instances[0])
            yield self._wait_for_probe(spec.scope, lambda: found)
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
        user_data = template.render_user_data(
            spec.scope, spec.launch, *opening, logs=self.settings.shipping
        )
        shape |= {
            "ImageId": spec.artifact,
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": user_data,
            "TagSpecifications": specify_tags(tags, *template.TAGGED),
        }
        *_, last = network.subnets
        for subnet in network.subnets:
            card["SubnetId"] = subnet
            missing = () if subnet == last else NO_ROOM
            answer = self.api.call("ec2", "run_instances", missing=missing, **shape)
            if answer:
                break
        return str(answer["Instances"][0]["InstanceId"])


def _name_way(rule: Mapping[str, Any]) -> str:
    return f"{rule['GroupId']}/{rule['SecurityGroupRuleId']}"


def _find_source(rule: Mapping[str, Any]) -> str:
    """Return who a rule lets in, as a range; empty where that is none of ours."""
    return str(rule.get("CidrIpv4") or rule.get("CidrIpv6") or "")
