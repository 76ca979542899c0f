"""Defines the aws target's own settings: `immutable-servers:aws` in a stack file."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from immutable_servers.errors import SettingsError
from immutable_servers.targets.cloud.fields import Cidr, make_text
from immutable_servers.targets.cloud.settings import CloudSettings

Region = Annotated[
    str, make_text(r"^[a-z]{2}(-[a-z]+)+-\d+$", "must be an AWS region such as eu-central-1")
]
Profile = Annotated[
    str, make_text(r"^[A-Za-z0-9 ._@+=:/-]*$", "must be the name of a profile, without quotes or $")
]

DEBIAN_OWNER = "136693071363"
"""Debian's account at AWS: https://wiki.debian.org/Cloud/AmazonEC2Image."""

OWN_IMAGES = (
    "copy_to, image_owners and share_with are no settings any more: each account and region bakes"
    " its own images, from the same checkout"
)
GONE: Mapping[str, str] = {
    "copy_to": OWN_IMAGES,
    "image_owners": OWN_IMAGES,
    "jump_host": "jump_host is no setting any more: write a file with the lines `Host *` and"
    " `ProxyJump user@host`, and name it with verify_through: ssh_config and ssh_config: FILE",
    "share_with": OWN_IMAGES,
    "scaling": "scaling is no setting any more: AWS holds the number that `servers` says, so set"
    " that to what the service needs at its busiest",
}
"""What earlier programs had, and what to write instead."""
JUMP = "jump"
"""Way to servers that earlier programs had beside `ssh_config`."""


XEN = frozenset(
    [
        "c1",
        "c3",
        "c4",
        "d2",
        "f1",
        "g3",
        "g3s",
        "h1",
        "i2",
        "i3",
        "m1",
        "m2",
        "m3",
        "m4",
        "p2",
        "p3",
        "r3",
        "r4",
        "t1",
        "t2",
        "x1",
        "x1e",
    ]
)
"""Families that are not on Nitro; metal ones are refused with them:
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html"""


class Logs(BaseModel):
    """Where servers ship their journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(
        pattern=r"^[A-Za-z0-9_./#-]+$",
        max_length=512,
        description="A log group of CloudWatch Logs, which exists",
    )


class AwsSettings(CloudSettings):
    """Settings of stacks on Amazon EC2."""

    target, tunnel = "aws", "ssm"
    usual_sizes: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "x86_64": {"small": "t3.small", "medium": "t3.large", "large": "m7i.xlarge"},
        "arm64": {"small": "t4g.small", "medium": "t4g.large", "large": "m7g.xlarge"},
    }
    own_size = r"[a-z][a-z0-9-]*\.[a-z0-9-]+"
    size_example = "an instance type such as c7i.large"

    region: Region = Field(description="Where servers, balancer and images are")
    profile: Profile = Field(
        default="", description="Profile of ~/.aws/config; else the SDK's choice"
    )
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
    timeout: int = Field(
        default=60,
        ge=1,
        le=4000,
        description="Seconds that either side of a connection to the balancer may be silent",
    )
    public_addresses: bool | None = Field(
        default=None, description="Servers have public addresses; by default in the default VPC"
    )

    volume: int | None = Field(
        default=None, ge=4, le=16384, description="Root disk in GiB; by default the AMI's"
    )
    kms_key: str = Field(default="", description="Key of encrypted disks; by default AWS's own")
    instance_profile: str = Field(default="", description="Name of the servers' instance profile")
    logs: Logs | None = Field(
        default=None, description="Where servers ship their journal; by default nowhere"
    )

    verify_through: Literal["", "public", "private", "ssm", "ssh_config"] = Field(
        default="", description="How checks reach servers; by default public, without that ssm"
    )

    build_through: Literal["ssh", "ssm"] = Field(default="ssh", description="How Packer logs in")
    build_subnet: str = Field(
        default="", description="Subnet of a bake; by default the first of `subnets`"
    )
    build_instance_profile: str = Field(default="", description="Instance profile of a bake")

    @model_validator(mode="before")
    @classmethod
    def _explain_gone(cls, values: Any) -> Any:  # noqa: ANN401 - what a stack file holds
        if isinstance(values, Mapping):
            jumps = values.get("verify_through") == JUMP and not values.get("jump_host")
            said = [GONE[key] for key in GONE if values.get(key) or (jumps and key == "jump_host")]
            if said:
                raise ValueError("; ".join(said))
        return values

    def list_faults(self) -> Mapping[str, object]:
        """Return what does not go together, in words, with whether it is so."""
        return {
            **super().list_faults(),
            "subnets must be named with a vpc": self.vpc and not self.subnets,
            "vpc must be named with subnets": self.subnets and not self.vpc,
            "logs need an instance_profile, with whose rights servers ship them": (
                self.logs and not self.instance_profile
            ),
            "build_through: ssm needs a build_instance_profile": (
                self.build_through == "ssm" and not self.build_instance_profile
            ),
            "no way to reach servers: ssm needs an instance_profile, else set verify_through": (
                self.reach == "ssm" and not self.instance_profile
            ),
        }

    @property
    def has_public_addresses(self) -> bool:
        """Return whether servers get public addresses."""
        return not self.vpc if self.public_addresses is None else self.public_addresses

    @property
    def shipping(self) -> dict[str, str]:
        """Return what servers are told of where their logs go; empty is nowhere."""
        return {"group": self.logs.group, "region": self.region} if self.logs else {}

    def refuse_unknown_console(self, instance_type: str) -> None:
        """Refuse servers on Xen where logins need a host key that their console shows at once.

        Raises:
            SettingsError: The way to servers leads over the internet, and the type is on Xen.
        """
        if self.reach == "public" and instance_type.partition(".")[0] in XEN:
            raise SettingsError(
                f"Checks cannot log in to {instance_type} over the internet",
                facts=["EC2 shows the console of types on Xen, with the host key, minutes late"],
                todo="Use a type on Nitro, such as t3.small; or set verify_through under"
                " immutable-servers:aws to private, ssm or ssh_config.",
            )


def drop_gone(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what earlier programs had: a state keeps those of its resources.

    A fleet that was reached through a jump host is in a network of its own, as with `private`.
    """
    kept = {key: value for key, value in settings.items() if key not in GONE}
    return {**kept, "verify_through": "private"} if kept.get("verify_through") == JUMP else kept
