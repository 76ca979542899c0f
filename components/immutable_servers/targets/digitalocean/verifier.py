"""Looks at what this machine has for logins to servers and bakes: a file, its address."""

from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.targets.cloud.verifier import Tunnel, find_sources
from immutable_servers.targets.digitalocean.api import Api

TUNNEL = Tunnel("digitalocean", "private", "the VPC", (), (), "")
"""DigitalOcean has no way of its own to servers: this machine is in the VPC then."""
check_route = TUNNEL.check_route
find_verifier = TUNNEL.find_verifier


def find_verifiers(api: Api, *ways: str) -> Sequence[str]:
    """Return who is let in: `verify_from`, this machine, or all in the VPC.

    Args:
        api: DigitalOcean.
        ways: Values of `verify_through` that lead over the internet; for servers it is `public`.
    """
    settings = api.settings
    return find_sources(
        settings.verify_from,
        is_public=settings.reach in (ways or ("public",)),
        own=find_verifier,
        inside=lambda: _find_range(api),
    )


def find_vpc(api: Api) -> Mapping[str, Any] | None:
    """Return the VPC that servers are in, the region's default one without a choice, if it is."""
    wanted, region = api.settings.vpc, api.settings.region
    here = [one for one in api.list("vpcs") if one["region"] == region]
    return next((one for one in here if (one["id"] == wanted if wanted else one["default"])), None)


def _find_range(api: Api) -> str:
    """Return the addresses of the VPC that servers are in."""
    if found := find_vpc(api):
        return str(found["ip_range"])
    settings = api.settings
    raise api.kind(
        f"There is no VPC {settings.vpc or 'by default'} in {settings.region}",
        todo="Correct vpc under immutable-servers:digitalocean, or make it.",
    )
