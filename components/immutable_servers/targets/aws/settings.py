"""Defines the aws target's own settings: `immutable-servers:aws` in a stack file."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from immutable_servers.errors import SettingsError


def _text(pattern: str, rule: str) -> Any:  # noqa: ANN401 - what Annotated takes
    return Field(pattern=pattern, json_schema_extra={"errorMessage": rule})


Region = Annotated[
    str, _text(r"^[a-z]{2}(-[a-z]+)+-\d+$", "must be an AWS region such as eu-central-1")
]
Account = Annotated[
    str, _text(r"^\d{12}$", "must be an AWS account's number of 12 digits, in quotes")
]
Cidr = Annotated[
    str, _text(r"^[0-9a-f.:]+/\d{1,3}$", "must be a range of addresses such as 203.0.113.7/32")
]
Port = Annotated[int, Field(ge=1, le=65535)]

SIZES: Mapping[str, Mapping[str, str]] = {
    "x86_64": {"small": "t3.small", "medium": "t3.large", "large": "m7i.xlarge"},
    "arm64": {"small": "t4g.small", "medium": "t4g.large", "large": "m7g.xlarge"},
}
INSTANCE_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
"""AWS's own word for a size, such as `c7i.2xlarge`."""
DEBIAN_OWNER = "136693071363"
"""Debian's account at AWS: https://wiki.debian.org/Cloud/AmazonEC2Image."""


class Scaling(BaseModel):
    """A target-tracking policy: AWS keeps the servers' mean CPU use near `cpu` percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: int = Field(ge=1, le=100, description="Percent of CPU use that is aimed at")
    most: int = Field(ge=1, le=1000, description="Most servers; `servers` is the least")


class AwsSettings(BaseModel):
    """Settings of stacks on Amazon EC2."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: Region = Field(description="Where servers, balancer and images are")
    architecture: Literal["x86_64", "arm64"] = Field(
        default="x86_64", description="Of servers and images"
    )
    profile: str = Field(default="", description="Profile of ~/.aws/config; else the SDK's choice")
    attempts: int = Field(
        default=10, ge=1, le=50, description="Tries of one call that AWS slows down"
    )

    vpc: str = Field(default="", description="A VPC's id; empty is the default VPC")
    subnets: tuple[str, ...] = Field(default=(), description="Subnets of the servers")
    balancer_subnets: tuple[str, ...] = Field(
        default=(), description="Subnets of the balancer, public unless it is internal"
    )
    internal: bool = Field(default=False, description="The balancer is seen in the VPC only")
    allow_from: tuple[Cidr, ...] = Field(
        default=("0.0.0.0/0",), description="Who may reach the balancer"
    )
    certificate: str = Field(default="", description="ARN of an ACM certificate: HTTPS")
    redirect: Port | None = Field(
        default=None, description="With a certificate, a port whose HTTP is redirected to HTTPS"
    )
    shared_port: Port | None = Field(
        default=None,
        description="Port on which services are distinguished by host name; 443 with a certificate,"
        " else 80",
    )
    public_addresses: bool | None = Field(
        default=None, description="Servers have public addresses; by default in the default VPC"
    )

    sizes: dict[str, str] = Field(
        default={}, description="Instance types by words of your own, or for small, medium, large"
    )
    volume: int | None = Field(
        default=None, ge=4, le=16384, description="Root disk in GiB; by default the AMI's"
    )
    kms_key: str = Field(default="", description="Key of encrypted disks; by default AWS's own")
    instance_profile: str = Field(default="", description="Name of the servers' instance profile")
    boot_deadline: float = Field(
        default=600, gt=0, description="Seconds that servers may take to become healthy"
    )
    scaling: Scaling | None = Field(default=None, description="Scale with the servers' CPU use")

    verify_through: Literal["", "public", "private", "ssm", "jump", "ssh_config"] = Field(
        default="", description="How checks reach servers; by default public, without that ssm"
    )
    verify_from: tuple[Cidr, ...] = Field(
        default=(), description="Who may log in while a window is open; by default this machine"
    )
    jump_host: str = Field(default="", description="For `jump`: user@host")
    ssh_config: str = Field(default="", description="For `ssh_config`: a file of yours")

    build_through: Literal["ssh", "ssm"] = Field(default="ssh", description="How Packer logs in")
    build_size: str = Field(default="", description="Instance type of a bake; by default medium")
    build_subnet: str = Field(default="", description="Subnet of a bake; by default AWS's choice")
    build_instance_profile: str = Field(default="", description="Instance profile of a bake")
    copy_to: tuple[Region, ...] = Field(default=(), description="Regions that get a copy")
    share_with: tuple[Account, ...] = Field(
        default=(), description="Accounts that may launch the images"
    )
    image_owners: tuple[Account, ...] = Field(
        default=(), description="Accounts whose shared images are used like own ones"
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        through, building = self.verify_through, self.build_through
        faults = {
            "subnets must be named with a vpc": self.vpc and not self.subnets,
            "vpc must be named with subnets": self.subnets and not self.vpc,
            "jump needs a jump_host": through == "jump" and not self.jump_host,
            "verify_through: ssh_config needs the file's name as ssh_config": (
                through == "ssh_config" and not self.ssh_config
            ),
            "share_with needs a kms_key of your own": self.share_with and not self.kms_key,
            "share_with and copy_to exclude each other: nobody else can use the copies' keys": (
                self.share_with and self.copy_to
            ),
            "redirect needs a certificate": self.redirect and not self.certificate,
            "build_through: ssm needs a build_instance_profile": (
                building == "ssm" and not self.build_instance_profile
            ),
            "no way to reach servers: ssm needs an instance_profile, else set verify_through": (
                self.reach == "ssm" and not self.instance_profile
            ),
        }
        for said, is_fault in faults.items():
            if is_fault:
                raise ValueError(said)
        return self

    @property
    def has_public_addresses(self) -> bool:
        """Return whether servers get public addresses."""
        return not self.vpc if self.public_addresses is None else self.public_addresses

    @property
    def reach(self) -> str:
        """Return how checks reach servers."""
        return self.verify_through or ("public" if self.has_public_addresses else "ssm")

    @property
    def host_port(self) -> int:
        """Return the port that services by host name share."""
        return self.shared_port or (443 if self.certificate else 80)

    @property
    def protocol(self) -> str:
        """Return the protocol of the balancer's listeners."""
        return "HTTPS" if self.certificate else "HTTP"

    def find_instance_type(self, word: str) -> str:
        """Return what a size means.

        Raises:
            SettingsError: It is neither a known word nor an instance type.
        """
        known = {**SIZES[self.architecture], **self.sizes}
        if word not in known and not INSTANCE_TYPE.fullmatch(word):
            raise SettingsError(
                f"There is no size {word!r} on aws",
                facts=[f"Known sizes: {', '.join(known)}, or an instance type such as c7i.large"],
                todo="Use one of these, or add it to immutable-servers:aws sizes.",
            )
        return known.get(word, word)
