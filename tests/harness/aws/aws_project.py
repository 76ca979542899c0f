"""A sample project on the aws target and the emulated cloud, driven as a user would."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.aws.cloud import REGION, Cloud, become, find_calls
from harness.aws.policies import find_refused
from harness.checkout import Outcome
from harness.cloud_project import CallNames, CloudProject
from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.targets.aws.images import render_facts
from immutable_servers.targets.aws.names import name_image
from immutable_servers.targets.aws.needs import PLUGIN

SSH = 22
DEBIAN, DEBIAN_NAME = "136693071363", "debian-13-amd64-20261101-1"
"""Whose account has which AMI."""
POINTING = ("elbv2.ModifyListener", "elbv2.ModifyRule")


@dataclass
class AwsProject(CloudProject[Cloud]):
    """The copy of the sample, and its cloud."""

    target: ClassVar[str] = "aws"
    usual: ClassVar[Mapping[str, Any]] = {"region": REGION}
    packer_plugin: ClassVar[PackerPlugin] = PLUGIN
    calls: ClassVar[CallNames] = CallNames(
        find_image="ec2.DescribeImages",
        make_fleet="autoscaling.CreateAutoScalingGroup",
        end_fleet="autoscaling.DeleteAutoScalingGroup",
        make_server="ec2.RunInstances",
        ask_health="elbv2.DescribeTargetHealth",
        move="elbv2.ModifyListener",
    )
    reading: ClassVar[tuple[str, ...]] = ("Describe", "Get", "List")
    find_refused = staticmethod(find_refused)
    name_image = staticmethod(name_image)

    def register_image(self, lineage: Mapping[str, Any]) -> None:
        """Make an AMI, unless it is there."""
        ec2, name = self.cloud.client("ec2"), name_image(lineage["image"], lineage["version"])
        named = [{"Name": "name", "Values": [name]}]
        if ec2.describe_images(Owners=["self"], Filters=named)["Images"]:
            return
        made = ec2.register_image(Name=name, RootDeviceName="/dev/xvda")
        tags = [{"Key": key, "Value": value} for key, value in render_facts(lineage).items()]
        ec2.create_tags(Resources=[made["ImageId"]], Tags=tags)

    def offer_debian(self) -> tuple[str, dict[str, Any]]:
        """Register an AMI as Debian does, for everyone, unless it is there."""
        ec2 = become(DEBIAN, self.cloud).client("ec2")
        there = ec2.describe_images(Filters=[{"Name": "name", "Values": [DEBIAN_NAME]}])["Images"]
        made: str = (
            there[0]
            if there
            else ec2.register_image(
                Name=DEBIAN_NAME, Architecture="x86_64", RootDeviceName="/dev/xvda"
            )
        )["ImageId"]
        everyone = {"Add": [{"Group": "all"}]}
        ec2.modify_image_attribute(ImageId=made, LaunchPermission=everyone)
        return made, {"amis": {REGION: made}}

    # what a test changes
    def end_server(self, generation: str) -> None:
        """End a server of a generation by hand."""
        scaling = self.cloud.client("autoscaling")
        (group,) = [
            group
            for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
            if generation in group["AutoScalingGroupName"]
        ]
        one = group["Instances"][0]["InstanceId"]
        self.cloud.client("ec2").terminate_instances(InstanceIds=[one])

    # what is true
    def list_moves(self, service: str) -> list[dict[str, Any]]:
        """Return each change of where a service's listener points."""
        port = self.services[service]["route"]["port"]
        events = self.cloud.read_all()
        return [one for one in events if one["event"] == "traffic" and one["port"] == port]

    def count_moves(self, done: Outcome) -> int:
        """Return how often a run changed where a listener points."""
        return sum([len(find_calls(done.events, call)) for call in POINTING])

    def groups(self) -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        found = self.cloud.client("autoscaling").describe_auto_scaling_groups()
        return {
            group["AutoScalingGroupName"].split("-")[-2]: len(group["Instances"])
            for group in found["AutoScalingGroups"]
        }

    def find_ways(self) -> list[str]:
        """Return the rules that let somebody in to SSH."""
        rules = self.cloud.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
        return [rule["SecurityGroupRuleId"] for rule in rules if rule.get("FromPort") == SSH]

    def list_images(self) -> dict[str, dict[str, Any]]:
        """Return our AMIs by name."""
        found = self.cloud.client("ec2").describe_images(Owners=["self"])["Images"]
        return {ami["Name"]: ami for ami in found}

    def list_left(self) -> list[str]:
        """Return what there is beside networks and images."""
        asked = (
            ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroupName"),
            ("elbv2", "describe_load_balancers", "LoadBalancerName"),
            ("elbv2", "describe_target_groups", "TargetGroupName"),
            ("ec2", "describe_launch_templates", "LaunchTemplateName"),
            ("ec2", "describe_security_groups", "GroupName"),
        )
        found = []
        for service, call, name in asked:
            answer = getattr(self.cloud.client(service), call)()
            lists = [value for value in answer.values() if isinstance(value, list)]
            found += [one[name] for one in lists[0] if one[name] != "default"]
        return found
