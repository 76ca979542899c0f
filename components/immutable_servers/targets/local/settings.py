"""The local target's own settings: `immutable-servers:local` in a stack file."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from immutable_servers.errors import SettingsError

Port = Annotated[int, Field(ge=1024, le=65535)]


class Size(BaseModel):
    """What a size means: memory in MB, and processors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory: int = Field(ge=256)
    cpus: int = Field(ge=1, le=64)


SIZES: Mapping[str, Size] = {
    "small": Size(memory=512, cpus=1),
    "medium": Size(memory=1024, cpus=2),
    "large": Size(memory=2048, cpus=4),
}


def _check_range(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        message = "the first port must not be above the last"
        raise ValueError(message)
    return value


class LocalSettings(BaseModel):
    """Settings of the machines on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: dict[str, Size] = Field(
        default={}, description="Sizes of your own, beside small, medium, large"
    )
    boot_deadline: float = Field(
        default=180, gt=0, description="Seconds that a server may take to serve"
    )
    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        default="auto", description="auto tries KVM first"
    )
    port_range: Annotated[tuple[Port, Port], AfterValidator(_check_range)] = Field(
        default=(20000, 29999), description="First and last port of 127.0.0.1 that servers may have"
    )

    shared_port: Port = Field(
        default=8080,
        description="Port of 127.0.0.1 on which services are distinguished by host name",
    )

    def find_size(self, word: str) -> Size:
        """Return what a size means.

        Raises:
            SettingsError: It is no known word.
        """
        known = {**SIZES, **self.sizes}
        if word not in known:
            raise SettingsError(
                f"There is no size {word!r} on local",
                facts=[f"Known sizes: {', '.join(known)}"],
                todo="Use one of these, or add it to immutable-servers:local sizes.",
            )
        return known[word]
