"""Renders droplets, as arguments of `digitalocean.Droplet`, and their launch data."""

from typing import Any

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import make_left_out
from immutable_servers.targets.digitalocean.settings import DoSettings
from immutable_servers.targets.shared.launch_data import describe_launch, render_launch, seal_launch

OURS = frozenset(
    {"image", "tags", "user_data", "ssh_keys", "droplet_agent", "vpc_uuid", "public_networking"}
)
"""Arguments that `launch_overrides` may not change: they make a generation, or open a server."""
MOST_USER_DATA = 64 * 1024
"""Bytes: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplets"""


def render_shape(settings: DoSettings, launch: Launch) -> dict[str, Any]:
    """Return the arguments that our code gives every droplet, as plain values.

    They are digested into a generation's id, so that a program that shapes servers differently
    makes a new generation. DigitalOcean's agent is a login, which no server of ours has.
    """
    network = {"vpc_uuid": settings.vpc} if settings.vpc else {}
    return {
        "region": settings.region,
        "size": settings.find_size(launch.size),
        "ipv6": False,
        "monitoring": False,
        "droplet_agent": False,
        "public_networking": settings.public_addresses,
        **network,
    }


def render_open(
    scope: Scope,
    launch: Launch,
    server: str,
    key: str | None,
    ends: int | None,
    people: str | None,
    host_key: str = "",
) -> str:
    """Return the launch data of a server whose login window is open, with its host key.

    Raises:
        ImmutableError: The run leaves out what makes key and window.
    """
    if not key or not ends:
        raise make_left_out("missing: the login key or its window")
    header = launch.generation_header
    data = describe_launch(
        scope, launch.env, key, int(ends), inspection_key=people or "", server=server, header=header
    )
    return render_launch({**data, **({"host_key": host_key} if host_key else {})})


def render_sealed(scope: Scope, launch: Launch, server: str) -> str:
    """Return the launch data of a server that boots sealed."""
    header = launch.generation_header
    data = describe_launch(scope, launch.env, "", 0, server=server, header=header)
    return seal_launch(render_launch(data))
