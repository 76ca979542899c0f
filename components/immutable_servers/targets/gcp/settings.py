"""Defines the gcp target's own settings: `immutable-servers:gcp` in a stack file."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.fields import make_text
from immutable_servers.targets.cloud.settings import CloudSettings
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.gcp.names import make_name, name_tag

PROJECT = r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$"
Project = Annotated[str, make_text(PROJECT, "must be a project's id such as shop-123456")]
Region = Annotated[str, make_text(r"^[a-z]+-[a-z]+\d+$", "must be a region such as europe-west3")]
ZONE = r"^[a-z]+-[a-z]+\d+-[a-z]$"
Zone = Annotated[str, make_text(ZONE, "must be a zone such as europe-west3-a")]
Account = Annotated[str, make_text(r"^[^@\s]+@[^@\s]+$", "must be a service account's address")]
DOMAIN = r"^([a-z0-9-]+\.)+[a-z]{2,}$"
Domain = Annotated[str, make_text(DOMAIN, "must be a domain such as www.example.com")]
WORD = r"^([a-z]([a-z0-9-]*[a-z0-9])?)?$"
Word = Annotated[str, make_text(WORD, "must be a name in the project, and no link")]

HYPERDISK = re.compile(r"[a-z][4-9][a-z]*-.*")
"""Machine types without persistent disks: of the fourth generation and newer.
https://docs.cloud.google.com/compute/docs/disks/hyperdisks#machine-type-support"""
MOST_DOMAINS = 15
"""Each has a certificate, of which a proxy takes so many.
https://docs.cloud.google.com/compute/docs/reference/rest/v1/targetHttpsProxies"""


class Scaling(BaseModel):
    """Limits of a service's number of servers, of which `servers` is the least."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max: int = Field(ge=1, le=1000, description="Most servers")
    cpu: int = Field(60, ge=1, le=100, description="Percent of their processors that are in use")


class GcpSettings(CloudSettings):
    """Settings of stacks on Google Compute Engine."""

    target, tunnel = "gcp", "iap"
    usual_sizes: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "x86_64": {"small": "e2-small", "medium": "e2-standard-2", "large": "e2-standard-4"},
        "arm64": {"small": "c4a-standard-1", "medium": "c4a-standard-2", "large": "c4a-standard-4"},
    }
    own_size = r"[a-z][a-z0-9]*-[a-z0-9-]+"
    size_example = "a machine type such as n4-standard-2"

    project: Project = Field(description="Id of the Google Cloud project that all is in")
    region: Region = Field(description="Where servers and images are; the balancer is global")
    zones: tuple[Zone, ...] = Field((), description="Of the servers; by default all that have them")
    attempts: int = Field(7, ge=1, le=10, description="Tries of one call that Google slows down")

    network: Word = Field("default", description="Name of the VPC network")
    subnetwork: Word = Field(
        "", description="Name of the region's subnet; empty: the network's own"
    )
    public_addresses: bool = Field(True, description="Servers have external addresses")  # noqa: FBT003
    service_accounts: dict[str, Account] = Field(
        {}, description="Of servers, by service; by default each has its own, without roles"
    )

    certificate: tuple[Domain, ...] = Field(
        (), description="Domains of a certificate that Google manages: HTTPS"
    )
    timeout: int = Field(30, ge=1, le=86400, description="Seconds a server may take to answer")
    security_policy: Word = Field("", description="Cloud Armor policy: who may reach the services")

    volume: int | None = Field(
        None, ge=10, le=65536, description="Boot disk in GB; by default the image's"
    )
    disk_type: Word = Field(
        "", description="Of boot disks; by default pd-balanced, or else hyperdisk-balanced"
    )
    logs: bool = Field(False, description="Cloud Logging keeps what servers print")  # noqa: FBT003
    scaling: dict[str, Scaling] = Field(
        {}, description="Google sets the number of servers by their load, by service"
    )

    verify_through: Literal["", "public", "private", "iap", "ssh_config"] = Field(
        "", description="How checks reach servers; by default public, without that iap"
    )
    build_through: Literal["", "ssh", "iap", "private"] = Field(
        "", description="How Packer logs in; by default ssh, without addresses iap"
    )
    build_size: Word = Field("", description="Machine type of a bake; by default medium")
    build_zone: Zone | Literal[""] = Field("", description="Of a bake; by default the first")
    build_service_account: Account | Literal[""] = Field(
        "", description="Of a bake; by default none"
    )

    def list_faults(self) -> Mapping[str, object]:
        """Return what does not go together, in words, with whether it is so."""
        zones = {*self.zones, self.build_zone} - {""}
        return {
            **super().list_faults(),
            "verify_through: public needs public_addresses": (
                self.verify_through == "public" and not self.public_addresses
            ),
            f"certificate takes {MOST_DOMAINS} domains, each once": (
                len(self.certificate) > min(MOST_DOMAINS, len({*self.certificate}))
            ),
            f"zones must be in the region {self.region}": (
                any(zone.rpartition("-")[0] != self.region for zone in zones)
            ),
        }

    @property
    def build_reach(self) -> str:
        """Return how Packer reaches a bake's machine."""
        return self.build_through or ("ssh" if self.public_addresses else "iap")

    def find_account(self, scope: Scope) -> str:
        """Return the email of a service's account: one of the settings, or ours by its name."""
        domain, _, project = self.project.rpartition(":")
        place = ".".join(filter(None, (project, domain)))
        name = make_name(of_service(scope))
        return self.service_accounts.get(scope.service, f"{name}@{place}.iam.gserviceaccount.com")

    def find_rule_target(self, scope: Scope) -> tuple[str, str]:
        """Return by what firewall rules know a service's servers, and its value.

        An account of the user's may have machines that are none of ours. What is about a service
        as a whole holds for servers of whatever account, old ones too.
        """
        if scope.service in self.service_accounts or not scope.generation:
            return "tags", name_tag(scope)
        return "service_accounts", self.find_account(scope)

    def find_disk_type(self, machine_type: str) -> str:
        """Return the type of the boot disk of a machine."""
        usual = "hyperdisk-balanced" if HYPERDISK.fullmatch(machine_type) else "pd-balanced"
        return self.disk_type or usual
