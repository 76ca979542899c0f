"""The aws target: EC2 Auto Scaling groups behind an Application Load Balancer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.aws import template
from immutable_servers.targets.aws.access import AwsAccess
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.aws.images import AwsImages
from immutable_servers.targets.aws.needs import NEEDS
from immutable_servers.targets.aws.ownership import AwsOwnership
from immutable_servers.targets.aws.settings import AwsSettings

__all__ = ["AwsSettings", "AwsTarget"]


class AwsTarget(Target):
    """Servers and a load balancer in one region of an AWS account."""

    name = "aws"
    settings_model = AwsSettings
    needs = NEEDS
    packer_source = Path(__file__).with_name("source.pkr.hcl")
    access: AwsAccess
    fleets: AwsFleets
    ownership: AwsOwnership

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = AwsSettings.model_validate(settings)
        self.architecture = self.settings.architecture
        self.api = Api(self.settings)
        groups = Groups(self.api)
        self.images = AwsImages(self.api)
        self.balancer = AwsBalancer(self.api, groups)
        self.fleets = AwsFleets(self.api, groups, self.balancer)
        self.access = AwsAccess(self.fleets)
        self.ownership = AwsOwnership(self.access)

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return the instance type."""
        return {"instance_type": self.settings.find_instance_type(size)}

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what the launch template gets from our code, and where servers stand."""
        vpc, subnets = self.settings.vpc, sorted(self.settings.subnets)
        place = {"vpc": vpc, "subnets": subnets} if vpc else {}
        return {**template.render_shape(self.settings, launch), **place}

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return what declares resources of the official provider."""
        from immutable_servers.targets.aws.generation import (  # noqa: PLC0415 - imports pulumi_aws
            AwsGraph,
        )

        return AwsGraph(scope, owner, self.fleets, self.ownership)
