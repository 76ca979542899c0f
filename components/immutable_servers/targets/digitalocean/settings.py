"""Defines the digitalocean target's own settings: `immutable-servers:digitalocean`."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from immutable_servers.targets.cloud.balancer import PORTS
from immutable_servers.targets.cloud.fields import Cidr, make_text
from immutable_servers.targets.cloud.settings import CloudSettings

Region = Annotated[str, make_text(r"^[a-z]{3}\d+$", "must be a region such as fra1")]
UUID = r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$"
Vpc = Annotated[str, make_text(UUID, "must be a VPC's id, a UUID")]
NAME = r"^[a-zA-Z0-9._-]*$"
Certificate = Annotated[str, make_text(NAME, "must be a certificate's name, and no path")]


class DoSettings(CloudSettings):
    """Settings of stacks on DigitalOcean."""

    target, tunnel = "digitalocean", "private"
    usual_sizes: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "x86_64": {"small": "s-1vcpu-2gb", "medium": "s-2vcpu-4gb", "large": "s-4vcpu-8gb"}
    }
    own_size = r"[a-z][a-z0-9_]*-[a-z0-9._-]+"
    size_example = "a droplet size such as s-1vcpu-2gb"
    usual_bake = "s-1vcpu-1gb"
    """A snapshot is launched on disks of its own size and larger, so a bake has a small one."""
    volume: ClassVar[None] = None
    """A droplet's disk is its size's, and is compared with a bake's where sizes are known."""

    region: Region = Field(description="Where servers, balancers and images are")
    architecture: Literal["x86_64"] = Field("x86_64", description="Droplets have no other")
    copies: tuple[Region, ...] = Field((), description="Further regions that images are copied to")

    vpc: Vpc = Field("", description="A VPC's id; empty is the region's default VPC")
    public_addresses: bool = Field(  # whether they have one cannot be changed later
        True,  # noqa: FBT003
        description="Servers have public addresses; without, the VPC needs a way out",
    )
    allow_from: tuple[Cidr, ...] = Field(
        ("0.0.0.0/0", "::/0"), description="Who may reach the balancers"
    )
    certificate: Certificate = Field("", description="Name of a certificate: HTTPS")
    timeout: int = Field(60, ge=30, le=600, description="Seconds a connection may be silent")
    nodes: int = Field(1, ge=1, le=100, description="Nodes of each balancer")

    verify_through: Literal["", "public", "private", "ssh_config"] = Field(
        "", description="How checks reach servers; by default public, without addresses private"
    )
    build_size: str = Field(
        "", description=f"Size of a bake's droplet, of the smallest disk; by default {usual_bake}"
    )

    def list_faults(self) -> Mapping[str, object]:
        """Return what does not go together, in words, with whether it is so."""
        return {
            **super().list_faults(),
            "verify_through: public needs public_addresses": (
                self.verify_through == "public" and not self.public_addresses
            ),
            "redirect is another port than 443, which it leads to": self.redirect == PORTS["https"],
            f"copies are regions beside {self.region}, each once": (
                len({self.region, *self.copies}) <= len(self.copies)
            ),
        }
