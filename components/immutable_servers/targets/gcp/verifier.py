"""Looks at what this machine has for logins to servers and bakes, and lets it in to them."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.targets.cloud.verifier import Tunnel, find_sources
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.network import find_subnetwork

TUNNELS = "35.235.240.0/20"
"""Where connections through Identity-Aware Proxy come from.
https://docs.cloud.google.com/iap/docs/using-tcp-forwarding#create-firewall-rule"""
TUNNEL = Tunnel(
    "gcp", "iap", "IAP", ("gcloud",), ("gcloud",), "https://docs.cloud.google.com/sdk/docs/install"
)
check_route = TUNNEL.check_route
check_login = TUNNEL.check_login
find_verifier = TUNNEL.find_verifier


def render_way(api: Api, name: str, reach: str) -> Mapping[str, Any]:
    """Return a rule that lets SSH in: from Google's tunnels, `verify_from`, here or the subnet.

    Machines have addresses of IPv4, and a rule holds no ranges of both kinds.

    Args:
        api: Google.
        name: The rule's.
        reach: How servers or a bake are reached.
    """
    settings = api.settings
    named = [TUNNELS] if reach == "iap" else [one for one in settings.verify_from if ":" not in one]
    sources = find_sources(
        named,
        is_public=reach in {"public", "ssh"},
        own=find_verifier,
        inside=lambda: find_subnetwork(api)["ipCidrRange"],
    )
    return {
        "name": name,
        "network": f"projects/{settings.project}/global/networks/{settings.network}",
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "sourceRanges": sources,
    }
