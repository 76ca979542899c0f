"""The gcp target: regional instance groups behind a global Application Load Balancer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.location import Location
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.cloud.target import CloudTarget
from immutable_servers.targets.gcp import template
from immutable_servers.targets.gcp.access import GcpAccess
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.balancer import GcpBalancer
from immutable_servers.targets.gcp.fleets import GcpFleets
from immutable_servers.targets.gcp.groups import Groups
from immutable_servers.targets.gcp.images import GcpImages
from immutable_servers.targets.gcp.launches import refuse_launch
from immutable_servers.targets.gcp.needs import NEEDS
from immutable_servers.targets.gcp.ownership import GcpOwnership
from immutable_servers.targets.gcp.readiness import GcpReadiness
from immutable_servers.targets.gcp.settings import GcpSettings

__all__ = ["GcpSettings", "GcpTarget"]


class GcpTarget(CloudTarget):
    """Servers in one region of a Google Cloud project, and a global load balancer."""

    name = "gcp"
    settings_model = GcpSettings
    needs = NEEDS
    consoles_command = "gcloud compute instances get-serial-port-output NAME --zone ZONE"
    most_launch_data = template.MOST_METADATA
    packer_source = Path(__file__).with_name("source.pkr.hcl")
    answers_within = 120.0
    api: Api
    access: GcpAccess
    balancer: GcpBalancer
    fleets: GcpFleets
    ownership: GcpOwnership

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = GcpSettings.model_validate(settings)
        self.architecture = self.settings.architecture
        self.api = Api(self.settings)
        self.images = GcpImages(self.api)
        self.balancer = GcpBalancer(self.api)
        self.fleets = GcpFleets(self.api, Groups(self.api), self.balancer)
        self.access = GcpAccess(self.fleets)
        self.ownership = GcpOwnership(self.access)
        self.readiness = GcpReadiness(self.api)

    def find_location(self, *, ask: bool = True) -> Location:
        """Return project and region, both of which the settings say."""
        del ask
        words = {"project_id": self.settings.project, "region": self.settings.region}
        return Location(self.name, words)

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return the machine type."""
        return {"machine_type": self.settings.find_size(size)}

    def find_misfits(self, servers: Mapping[str, int]) -> Mapping[str, str]:
        """Refuse limits of a service that there is not, and a most below the least."""
        rules = {}
        for name, limits in self.settings.scaling.items():
            if name not in servers:
                rules[f"scaling.{name}"] = f"is no service of this stack: {', '.join(servers)}"
            elif limits.max < servers[name]:
                rules[f"scaling.{name}.max"] = f"must be {servers[name]} or more, as servers says"
        return rules

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what the instance template gets from our code, and where servers stand."""
        settings = self.settings
        more = {"zones": sorted(settings.zones), "service_accounts": settings.service_accounts}
        chosen = {key: value for key, value in more.items() if value}
        return {**template.render_shape(settings, launch), **chosen}

    def refuse_launch(self, scope: Scope, launch: Launch) -> None:
        """Refuse disks and service accounts that are not there."""
        refuse_launch(self.api, scope, launch)

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return what declares resources of the official provider."""
        from immutable_servers.targets.gcp.generation import (  # noqa: PLC0415 - imports pulumi_gcp
            GcpGraph,
        )

        return GcpGraph(scope, owner, self.fleets, self.ownership)
