"""The digitalocean target: droplets behind a load balancer for each service, pointed by tag."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.location import Location
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.cloud.target import CloudTarget
from immutable_servers.targets.digitalocean import template
from immutable_servers.targets.digitalocean.access import DoAccess
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.fleets import DoFleets
from immutable_servers.targets.digitalocean.images import DoImages
from immutable_servers.targets.digitalocean.launches import refuse_launch
from immutable_servers.targets.digitalocean.names import RECORDS
from immutable_servers.targets.digitalocean.needs import NEEDS
from immutable_servers.targets.digitalocean.ownership import DoOwnership
from immutable_servers.targets.digitalocean.readiness import DoReadiness
from immutable_servers.targets.digitalocean.settings import DoSettings

__all__ = ["DoSettings", "DoTarget"]


class DoTarget(CloudTarget):
    """Servers and load balancers in one region of a DigitalOcean account."""

    name = "digitalocean"
    settings_model = DoSettings
    can_weigh = False
    has_reserved_ips = True
    needs = NEEDS
    most_launch_data = template.MOST_USER_DATA
    records = RECORDS
    packer_source = Path(__file__).with_name("source.pkr.hcl")
    api: Api
    access: DoAccess
    balancer: DoBalancer
    fleets: DoFleets
    ownership: DoOwnership

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = DoSettings.model_validate(settings)
        self.architecture = self.settings.architecture
        self.api = Api(self.settings)
        self.images = DoImages(self.api)
        self.balancer = DoBalancer(self.api)
        self.fleets = DoFleets(self.api, self.balancer)
        self.access = DoAccess(self.fleets)
        self.ownership = DoOwnership(self.access)
        self.readiness = DoReadiness(self.api)

    def find_location(self, *, ask: bool = True) -> Location:
        """Return region and account; a token is only a way to an account."""
        words = {"region": self.settings.region}
        if ask:
            words["account"] = self.api.find_account()
        return Location(self.name, words)

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Return the droplet size."""
        return {"size": self.settings.find_size(size)}

    def describe_shape(self, launch: Launch) -> dict[str, Any]:
        """Return what a droplet gets from our code."""
        return template.render_shape(self.settings, launch)

    def refuse_launch(self, scope: Scope, launch: Launch) -> None:
        """Refuse what the region, the account or the load balancer cannot have."""
        refuse_launch(self.api, scope, launch)

    def start_graph(self, scope: Scope, owner: Owner) -> Graph:
        """Return what declares resources of the official provider."""
        from immutable_servers.targets.digitalocean.generation import (  # noqa: PLC0415 - imports pulumi_digitalocean
            DoGraph,
        )

        return DoGraph(scope, owner, self.fleets, self.ownership)
