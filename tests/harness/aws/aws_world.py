"""An emulated AWS account with what the aws target declares, made through AWS's own interfaces."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models import amis
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates

from clouds.aws.emulation.patched_templates import patch_templates
from harness.cloud_world import RECORD, STACK, WEB, CloudWorld
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.groups import encode
from immutable_servers.targets.aws.names import (
    HEADER,
    RECORDS,
    list_tags,
    make_name,
    make_tags,
)
from immutable_servers.targets.aws.template import render_user_data

REGION = "eu-central-1"
SETTINGS: Mapping[str, Any] = {"region": REGION, "verify_from": ["127.0.0.1/32"], "attempts": 1}
LAUNCH = Launch("small", 80, "/healthz", {"GREETING": "hello"})

ARCHITECTURES = ("x86_64", "arm64")


@contextmanager
def start_emulation() -> Iterator[None]:
    """Emulate an account that has one AMI of each architecture: all of moto's take seconds."""
    first = [
        next(one for one in amis.AMIS if one.get("architecture") == architecture)
        for architecture in ARCHITECTURES
    ]
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setattr(amis, "AMIS", first)
        for kind, name in (
            (LaunchTemplates, "create_launch_template_version"),
            (LaunchTemplateVersion, "user_data"),
        ):
            patch.setattr(kind, name, getattr(kind, name))  # put back at the end
        patch_templates()
        patch.setenv("MOTO_AMIS_PATH", "read already")  # moto then looks for no others
        yield


def make_target(**settings: Any) -> AwsTarget:  # noqa: ANN401 - plain values
    """Return a target on the emulated account."""
    return AwsTarget({**SETTINGS, **settings})


def find_client(service: str, region: str = REGION) -> Any:  # noqa: ANN401 - boto3's
    """Return a client of the emulated account; making one takes longer than most of its calls."""
    return _make_client(service, region, os.environ.get("AWS_ENDPOINT_URL", ""))


@lru_cache(maxsize=32)
def _make_client(service: str, region: str, _endpoint: str) -> Any:  # noqa: ANN401 - boto3's
    return boto3.client(service, region_name=region)


@dataclass
class World(CloudWorld):
    """A stack's load balancer with a listener for `web`, and generations behind it."""

    region: str = REGION
    port: int = 80
    rules: int = 0
    listener: str = field(init=False)
    balancer: str = field(init=False)
    subnets: list[str] = field(init=False)
    vpc: str = field(init=False)

    def __post_init__(self) -> None:
        self.vpc = self.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        found = self.client("ec2").describe_subnets()["Subnets"]
        self.subnets = [
            one["SubnetId"] for one in sorted(found, key=lambda one: one["AvailabilityZone"])
        ]
        self.open_network(self.vpc)

    def make_target(self, **settings: Any) -> AwsTarget:  # noqa: ANN401 - plain values
        """Return a target on the account."""
        return make_target(**settings)

    def find_left(self, scope: Scope) -> list[str]:
        """Return the names of what there is of a generation."""
        elb, ec2 = self.client("elbv2"), self.client("ec2")
        rules = elb.describe_rules(ListenerArn=self.listener)["Rules"]
        found = [
            *(one["TargetGroupName"] for one in elb.describe_target_groups()["TargetGroups"]),
            *(str(one["Conditions"]) for one in rules),
            *(t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]),
            *(one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]),
        ]
        return [name for name in found if scope.generation in name]

    def wait_until_healthy(self, scope: Scope) -> None:
        """Do nothing: moto's servers are healthy at once."""

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's
        """Return a client of the same account."""
        return find_client(service, self.region)

    def open_network(self, vpc: str) -> None:
        """Give a VPC what a default one has, where it lacks it: an internet gateway's route."""
        ec2 = self.client("ec2")
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        (table, *_) = tables["RouteTables"]
        if any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"]):
            return
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        ec2.create_route(
            RouteTableId=table["RouteTableId"],
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=gateway,
        )

    def make_balancer(self) -> None:
        """Make what `declare_balancer` declares."""
        elb = self.client("elbv2")
        made = elb.create_load_balancer(
            Name=make_name(STACK), Subnets=self.subnets, Tags=list_tags(make_tags(STACK))
        )
        self.balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
        self.listener = self.make_listener(8080, WEB)

    def make_listener(self, port: int, scope: Scope) -> str:
        """Make a listener that answers 503."""
        closed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        made = self.client("elbv2").create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTP",
            Port=port,
            DefaultActions=[closed],
            Tags=list_tags(make_tags(scope)),
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def make_group(self, scope: Scope) -> str:
        """Make a generation's target group and its test rule; return the group's ARN."""
        elb = self.client("elbv2")
        made = elb.create_target_group(
            Name=make_name(scope),
            Protocol="HTTP",
            Port=self.port,
            VpcId=self.vpc,
            TargetType="instance",
        )
        group = str(made["TargetGroups"][0]["TargetGroupArn"])
        self.rules += 1
        header = {"HttpHeaderName": HEADER, "Values": [f"{scope.service}-{scope.generation}"]}
        elb.create_rule(
            ListenerArn=self.listener,
            Priority=self.rules,
            Conditions=[
                {"Field": "http-header", "HttpHeaderConfig": header},
                {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}},
            ],
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return group

    def make_fleet(self, scope: Scope, servers: int = 2, **record: Any) -> str:  # noqa: ANN401 - plain
        """Make all of a generation; return the ARN of its target group."""
        name, tags, ec2 = make_name(scope), make_tags(scope), self.client("ec2")
        firewall = ec2.create_security_group(
            GroupName=name,
            Description="Servers",
            VpcId=self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": list_tags(tags)}],
        )["GroupId"]
        ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "ImageId": ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"],
                "InstanceType": "t3.small",
                "SecurityGroupIds": [firewall],
                "UserData": encode(render_user_data(scope, LAUNCH, "ssh-ed25519 AAAA", 99)),
                "TagSpecifications": [{"ResourceType": "instance", "Tags": list_tags(tags)}],
            },
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": list_tags(tags)}],
        )
        group = self.make_group(scope)
        kept = {**tags, **RECORDS.render({**RECORD, "generation": scope.generation, **record})}
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=servers,
            MaxSize=servers,
            DesiredCapacity=servers,
            VPCZoneIdentifier=",".join(self.subnets),
            LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
            TargetGroupARNs=[group],
            Tags=[{**tag, "PropagateAtLaunch": False} for tag in list_tags(kept)],
        )
        return group
