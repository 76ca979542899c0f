"""Launch templates, security groups and their rules."""

from collections.abc import Sequence
from typing import Any, ClassVar

from aws_kinds import Kind, compare_tags, delete_unless_gone, get_one
from aws_wire import Names, read_tags, render_tags
from shared_wire import Values

SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
"""What a rule may be about; it cannot change from one of them to another."""


class Ec2Kind(Kind):
    """A type whose tags are EC2's."""

    @property
    def ec2(self) -> Any:  # noqa: ANN401 - the SDK's client
        """The client."""
        return self.clients("ec2")

    def find_arn(self, resource: str) -> str:
        """Return the ARN of a resource of the caller's account."""
        owner = self.clients("sts").get_caller_identity()["Account"]
        return f"arn:aws:ec2:{self.ec2.meta.region_name}:{owner}:{resource}"

    def update_tags(self, identity: str, olds: Values, news: Values) -> None:
        """Write and remove tags."""
        written, removed = compare_tags(olds, news)
        if written:
            self.ec2.create_tags(Resources=[identity], Tags=render_tags(written))
        if removed:
            self.ec2.delete_tags(Resources=[identity], Tags=[{"Key": key} for key in removed])

    def render_specification(self, kind: str, inputs: Values) -> Values:
        """Return the argument that tags at creation."""
        tags = inputs.get("tags")
        if not tags:
            return {}
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": render_tags(tags)}]}


class LaunchTemplate(Ec2Kind):
    """An update makes a new version; old ones stay."""

    urn_type = "aws:ec2/launchTemplate:LaunchTemplate"
    computed = ("arn", "defaultVersion", "latestVersion")
    settings = ("name", "namePrefix", "description", "tags", "updateDefaultVersion", "region")
    names: ClassVar[Names] = {
        "SecurityGroupIds": "vpcSecurityGroupIds",
        "SecurityGroups": "securityGroupNames",
        "Groups": "securityGroups",
        "Ipv6Addresses": "ipv6Addresses",
    }
    longest_name = 128
    beside: ClassVar[Sequence[str]] = ("name", "namePrefix", "tags", "updateDefaultVersion")

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a botocore shape
        """What a version holds."""
        shape = self.find_input_shape("ec2", "CreateLaunchTemplate")
        return shape.members["LaunchTemplateData"]

    def create(self, inputs: Values) -> str:
        """Create it with its first version."""
        made = self.ec2.create_launch_template(
            LaunchTemplateName=inputs["name"],
            VersionDescription=inputs.get("description", ""),
            LaunchTemplateData=self.render(inputs),
            **self.render_specification("launch-template", inputs),
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def describe(self, identity: str) -> Values | None:
        """Return the newest version's data, beside the template's own facts."""
        gone = ("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.NotFoundException")
        template = get_one(
            self.ec2.describe_launch_templates,
            "LaunchTemplates",
            *gone,
            LaunchTemplateIds=[identity],
        )
        if template is None:
            return None
        (version,) = self.ec2.describe_launch_template_versions(
            LaunchTemplateId=identity, Versions=[str(template["LatestVersionNumber"])]
        )["LaunchTemplateVersions"]
        return {**version["LaunchTemplateData"], "template": template}

    def import_inputs(self, found: Values) -> Values:
        """Return the newest version, with the template's own name and tags."""
        template = found["template"]
        own = {"name": template["LaunchTemplateName"], "tags": read_tags(template.get("Tags", []))}
        return {**super().import_inputs(found), **own}

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its versions."""
        template = found["template"]
        return {
            "arn": self.find_arn(f"launch-template/{identity}"),
            "defaultVersion": template["DefaultVersionNumber"],
            "latestVersion": template["LatestVersionNumber"],
        }

    def find_unsettled(self, olds: Values, news: Values) -> Sequence[str]:
        """Return the numbers that a new version changes."""
        if not self._is_new_version(olds, news):
            return ()
        return ("defaultVersion", "latestVersion")[not news.get("updateDefaultVersion") :]

    def _is_new_version(self, olds: Values, news: Values) -> bool:
        return any(olds.get(k) != news.get(k) for k in {*olds, *news} - {*self.beside})

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Make a new version when anything that a version holds changed."""
        if self._is_new_version(olds, news):
            made = self.ec2.create_launch_template_version(
                LaunchTemplateId=identity,
                VersionDescription=news.get("description", ""),
                LaunchTemplateData=self.render(news),
            )
            if news.get("updateDefaultVersion"):
                number = str(made["LaunchTemplateVersion"]["VersionNumber"])
                self.ec2.modify_launch_template(LaunchTemplateId=identity, DefaultVersion=number)
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it with all versions."""
        del inputs
        # The last is moto's code, also where AWS says that there is no such id.
        gone = (
            "InvalidLaunchTemplateId.NotFound",
            "InvalidLaunchTemplateId.NotFoundException",
            "InvalidLaunchTemplateName.NotFoundException",
        )
        delete_unless_gone(self.ec2.delete_launch_template, gone, LaunchTemplateId=identity)


class SecurityGroup(Ec2Kind):
    """A group without any rule: the official plugin takes away the one that Amazon adds."""

    urn_type = "aws:ec2/securityGroup:SecurityGroup"
    operation = ("ec2", "CreateSecurityGroup")
    computed = ("arn", "ownerId", "vpcId")
    settings = ("name", "namePrefix", "revokeRulesOnDelete", "tags", "region")
    defaults: ClassVar[Values] = {"description": "Managed by Pulumi"}
    longest_name = 255

    def create(self, inputs: Values) -> str:
        """Create it, and take its rule away."""
        made = self.ec2.create_security_group(
            GroupName=inputs["name"],
            **self.render(inputs, "Description", "VpcId"),
            **self.render_specification("security-group", inputs),
        )
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self.ec2.revoke_security_group_egress(GroupId=made["GroupId"], IpPermissions=[everything])
        return str(made["GroupId"])

    def describe(self, identity: str) -> Values | None:
        """Return the group."""
        return get_one(
            self.ec2.describe_security_groups,
            "SecurityGroups",
            "InvalidGroup.NotFound",
            GroupIds=[identity],
        )

    def import_inputs(self, found: Values) -> Values:
        """Return what can be said of a group."""
        return {
            "name": found["GroupName"],
            "description": found["Description"],
            "vpcId": found["VpcId"],
            "tags": read_tags(found.get("Tags", [])),
        }

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its owner and network."""
        arn = self.find_arn(f"security-group/{identity}")
        return {"arn": arn, "ownerId": found["OwnerId"], "vpcId": found["VpcId"]}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write its tags; all else replaces it."""
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it, once nothing refers to it."""
        del inputs
        in_use = ("DependencyViolation", "InvalidGroup.InUse")
        gone = ("InvalidGroup.NotFound",)
        delete_unless_gone(self.ec2.delete_security_group, gone, in_use, GroupId=identity)


class SecurityGroupRule(Ec2Kind):
    """One rule; its two types differ in their direction."""

    computed = ("arn", "securityGroupRuleId")
    settings = ("securityGroupId", "tags", "region")
    names: ClassVar[Names] = {"ReferencedGroupId": "referencedSecurityGroupId"}
    direction: ClassVar[str]

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a botocore shape
        """What a rule may be changed to."""
        update = self.find_input_shape("ec2", "ModifySecurityGroupRules")
        return update.members["SecurityGroupRules"].member.members["SecurityGroupRule"]

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Replace also when the rule is about another kind of peer."""
        sources = [name for name in SOURCES if (name in olds) != (name in news)]
        return [*super().find_replaced(olds, news), *sources]

    def create(self, inputs: Values) -> str:
        """Add it to its group."""
        add = getattr(self.ec2, f"authorize_security_group_{self.direction}")
        made = add(GroupId=inputs["securityGroupId"], IpPermissions=[render_permission(inputs)])
        identity = str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])
        self.update_tags(identity, {}, inputs)
        return identity

    def describe(self, identity: str) -> Values | None:
        """Return the rule, as a change of it would be written."""
        found = get_one(
            self.ec2.describe_security_group_rules,
            "SecurityGroupRules",
            "InvalidSecurityGroupRuleId.NotFound",
            SecurityGroupRuleIds=[identity],
        )
        if found is None:
            return None
        return {**found, "ReferencedGroupId": found.get("ReferencedGroupInfo", {}).get("GroupId")}

    def import_inputs(self, found: Values) -> Values:
        """Return the rule with its group and tags; ports that mean nothing are left out."""
        imported = super().import_inputs(found)
        ports = {"fromPort", "toPort"} if str(found["IpProtocol"]) == "-1" else set()
        own = {"securityGroupId": found["GroupId"], "tags": read_tags(found.get("Tags", []))}
        return {**{k: v for k, v in imported.items() if k not in ports}, **own}

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its names."""
        del found
        return {
            "arn": self.find_arn(f"security-group-rule/{identity}"),
            "securityGroupRuleId": identity,
        }

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change the rule itself."""
        self.ec2.modify_security_group_rules(
            GroupId=news["securityGroupId"],
            SecurityGroupRules=[
                {"SecurityGroupRuleId": identity, "SecurityGroupRule": self.render(news)}
            ],
        )
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Take it from its group."""
        remove = getattr(self.ec2, f"revoke_security_group_{self.direction}")
        gone = ("InvalidGroup.NotFound", "InvalidSecurityGroupRuleId.NotFound")
        group = inputs["securityGroupId"]
        delete_unless_gone(remove, gone, GroupId=group, SecurityGroupRuleIds=[identity])


def render_permission(inputs: Values) -> Values:
    """Return a rule as it is added."""
    said = {"Description": inputs["description"]} if "description" in inputs else {}
    peers = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    ports = {"fromPort": "FromPort", "toPort": "ToPort"}
    return {
        "IpProtocol": str(inputs["ipProtocol"]),
        **{api: inputs[name] for name, api in ports.items() if name in inputs},
        **{
            group: [{key: inputs[name], **said}]
            for name, (group, key) in peers.items()
            if name in inputs
        },
    }


class IngressRule(SecurityGroupRule):
    """What may come in."""

    urn_type = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    direction = "ingress"


class EgressRule(SecurityGroupRule):
    """What may go out."""

    urn_type = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    direction = "egress"


KINDS: Sequence[type[Kind]] = (LaunchTemplate, SecurityGroup, IngressRule, EgressRule)
