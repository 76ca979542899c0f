"""The local target's own settings: `immutable-servers:local` in a stack file."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from immutable_servers.errors import SettingsError
from immutable_servers.targets.local.haproxy_config import LIMITS, Limits

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
    servers_reach: Literal["nothing", "network"] = Field(
        default="nothing",
        description="What servers can connect to: `nothing`, or the `network` behind the gateway",
    )
    neighbours: tuple[IPv4Network, ...] = Field(
        default=(),
        description="Networks or addresses on this machine's own wires, such as a package mirror,"
        " that bakes may reach, and servers that reach the network",
    )
    timeout: float = Field(
        default=LIMITS.timeout,
        ge=1,
        le=24 * 3600,
        description="Seconds that a server may take to answer before the balancer answers 504, and"
        " that either side of a connection may be silent",
    )
    header_size: int = Field(
        default=LIMITS.header_size,
        ge=16,
        le=1024,
        description="kB that all headers of a request, or of an answer, may have together",
    )
    shared_port: Port = Field(
        default=8080,
        description="Port of 127.0.0.1 on which services are distinguished by host name",
    )

    def make_limits(self) -> Limits:
        """Return what the balancer lets a request take."""
        return Limits(self.timeout, self.header_size)

    def describe_reach(self) -> Sequence[str]:
        """Return what servers can connect to, as machines record it."""
        if self.servers_reach == "nothing":
            return ["nothing"]
        return [self.servers_reach, *self.list_neighbours()]

    def list_neighbours(self) -> Sequence[str]:
        """Return the neighbours as plain values."""
        return [str(network) for network in self.neighbours]

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
