"""Defines the settings that all clouds have, and what they mean."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from immutable_servers.errors import SettingsError
from immutable_servers.targets.cloud.fields import Cidr, File, Port


class CloudSettings(BaseModel):
    """Settings of stacks on a cloud; each cloud adds its own, and its own types of these.

    Attributes:
        target: The target's name.
        tunnel: The word of `verify_through` for the cloud's own way to servers without addresses.
        usual_sizes: The cloud's words for `small`, `medium` and `large`, by architecture.
        own_size: What the cloud's own words for a size look like.
        size_example: What the cloud calls them, with one of them.
        usual_bake: The size of a bake's machine that no setting names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    target: ClassVar[str]
    tunnel: ClassVar[str]
    usual_sizes: ClassVar[Mapping[str, Mapping[str, str]]]
    own_size: ClassVar[str]
    size_example: ClassVar[str]
    usual_bake: ClassVar[str] = "medium"

    region: str = Field(description="Where servers, balancer and images are")
    architecture: Literal["x86_64", "arm64"] = Field("x86_64", description="Of servers and images")
    attempts: int = Field(7, ge=1, le=50, description="Tries of one call that is slowed down")

    public_addresses: bool | None = Field(None, description="Servers have public addresses")
    certificate: Sequence[str] = Field("", description="What makes the balancer speak HTTPS")
    redirect: Port | None = Field(
        None, description="With a certificate, a port whose HTTP is redirected to HTTPS"
    )
    shared_port: Port | None = Field(
        None,
        description="Port on which services are distinguished by host name; 443 with a certificate,"
        " else 80",
    )

    sizes: dict[str, str] = Field(
        {}, description="The cloud's types by words of your own, or for small, medium, large"
    )
    boot_deadline: float = Field(
        600, gt=0, description="Seconds that servers may take to become healthy"
    )

    verify_through: str = Field("", description="How checks reach servers")
    verify_from: tuple[Cidr, ...] = Field(
        (), description="Who may log in while a window is open; by default this machine"
    )
    ssh_config: File = Field("", description="For `ssh_config`: a file of yours")

    build_size: str = Field("", description="Size of a bake's machine; by default medium")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for said, is_fault in self.list_faults().items():
            if is_fault:
                raise ValueError(said)
        return self

    def list_faults(self) -> Mapping[str, object]:
        """Return what does not go together, in words, with whether it is so."""
        return {
            "verify_through: ssh_config needs the file's name as ssh_config": (
                self.verify_through == "ssh_config" and not self.ssh_config
            ),
            "redirect needs a certificate": self.redirect and not self.certificate,
        }

    @property
    def has_public_addresses(self) -> bool:
        """Return whether servers get public addresses."""
        return bool(self.public_addresses)

    @property
    def reach(self) -> str:
        """Return how checks reach servers."""
        return self.verify_through or ("public" if self.has_public_addresses else self.tunnel)

    @property
    def host_port(self) -> int:
        """Return the port that services by host name share."""
        return self.shared_port or (443 if self.certificate else 80)

    @property
    def protocol(self) -> str:
        """Return how clients speak to the balancer."""
        return "HTTPS" if self.certificate else "HTTP"

    @property
    def bake_type(self) -> str:
        """Return the size of a bake's machine, in the cloud's own word."""
        return self.find_size(self.build_size or self.usual_bake)

    def find_size(self, word: str) -> str:
        """Return what a size means: the cloud's own word.

        Raises:
            SettingsError: It is neither a known word nor one of the cloud's own.
        """
        known = {**self.usual_sizes[self.architecture], **self.sizes}
        if word not in known and not re.fullmatch(self.own_size, word):
            raise SettingsError(
                f"There is no size {word!r} on {self.target}",
                facts=[f"Known sizes: {', '.join(known)}, or {self.size_example}"],
                todo=f"Use one of these, or add it to immutable-servers:{self.target} sizes.",
            )
        return known.get(word, word)
