"""The aws target: EC2 Auto Scaling groups behind an Application Load Balancer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.location import Location
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.access import AwsAccess
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.images import AwsImages
from immutable_servers.targets.aws.names import RECORDS
from immutable_servers.targets.aws.needs import NEEDS
from immutable_servers.targets.aws.ownership import AwsOwnership
from immutable_servers.targets.aws.readiness import AwsReadiness
from immutable_servers.targets.aws.settings import AwsSettings, drop_gone
from immutable_servers.targets.cloud.target import CloudTarget

__all__ = ["AwsSettings", "AwsTarget"]


class AwsTarget(CloudTarget):
    """Servers and a load balancer in one region of an AWS account."""

    name = "aws"
    settings_model = AwsSettings
    needs = NEEDS
    consoles_command = "aws ec2 get-console-output --instance-id ID --latest"
    most_launch_data = template.MOST_USER_DATA
    packer_source = Path(__file__).with_name("source.pkr.hcl")
    api: Api
    access: AwsAccess
    balancer: AwsBalancer
    fleets: AwsFleets
    ownership: AwsOwnership

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = AwsSettings.model_validate(drop_gone(settings))
        self.architecture = self.settings.architecture
        self.api = Api(self.settings)
        groups = Groups(self.api)
        self.images = AwsImages(self.api)
        self.balancer = AwsBalancer(self.api, groups)
        self.fleets = AwsFleets(self.api, groups, self.balancer)
        self.access = AwsAccess(self.fleets)
        self.ownership = AwsOwnership(self.access)
        self.readiness = AwsReadiness(self.balancer)

    def find_location(self, *, ask: bool = True) -> Location:
        """Return region and account; a profile is only a way to an account."""
        words = {"region": self.settings.region}
        if ask:
            words["account"] = self.api.find_account()
        return Location(self.name, words)

    def find_credentials_end(self) -> float | None:
        """Return the end of credentials in variables; the SDK renews the others."""
        return self.api.find_credentials_end()

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return the instance type."""
        instance_type = self.settings.find_size(size)
        self.settings.refuse_unknown_console(instance_type)
        return {"instance_type": instance_type}

    def check_env(self, env: Mapping[str, str]) -> None:
        """Refuse what does not fit into user data, or into the tags with a generation's record."""
        super().check_env(env)
        RECORDS.check_env(env)

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what the launch template gets from our code, and where servers stand."""
        vpc, subnets = self.settings.vpc, sorted(self.settings.subnets)
        place = {"vpc": vpc, "subnets": subnets} if vpc else {}
        logs = {"logs": self.settings.shipping} if self.settings.logs else {}
        return {**template.render_shape(self.settings, launch), **place, **logs}

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return what declares resources of the official provider."""
        from immutable_servers.targets.aws.generation import (  # noqa: PLC0415 - imports pulumi_aws
            AwsGraph,
        )

        return AwsGraph(scope, owner, self.fleets, self.ownership)
