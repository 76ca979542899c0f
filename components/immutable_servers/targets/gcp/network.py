"""Looks up where servers stand: subnet and zones, and what they reach without addresses."""

from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.errors import SettingsError
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.names import last_part

EVERY_SUBNETWORK = ("ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES")
EVERYWHERE = "0.0.0.0/0"
GATEWAY = "nextHopGateway"
"""Of a route that leads to the internet, where machines without an address get no answer.
https://docs.cloud.google.com/vpc/docs/routes#routingpacketsinternet"""


def find_subnetwork(api: Api) -> Mapping[str, Any]:
    """Return the subnet of the servers: the one of the settings, or the network's in the region.

    Raises:
        SettingsError: There is none, or it is another network's.
    """
    api, settings = api.raising(SettingsError), api.settings
    name = settings.subnetwork or settings.network
    for one in api.list("subnetworks"):
        if _is_ours(api, one) and (one["name"] == name or not settings.subnetwork):
            return dict(one)
    raise SettingsError(
        f"The network {settings.network} has no subnet {settings.subnetwork}".rstrip()
        + f" in {settings.region}",
        todo="Correct network and subnetwork under immutable-servers:gcp, or make it with `gcloud"
        f" compute networks subnets create {name} --region {settings.region}`.",
    )


def find_zones(api: Api, machine_type: str, zone: str = "") -> Sequence[str]:
    """Return the zones that have a machine type, as `find_machines` looks for it.

    Raises:
        SettingsError: None has.
    """
    return [last_part(one["zone"]) for one in find_machines(api, machine_type, zone)]


def find_machines(api: Api, machine_type: str, zone: str = "") -> Sequence[Mapping[str, Any]]:
    """Return a machine type as each zone of the settings, or of the region, has it.

    Args:
        api: Google.
        machine_type: Its name.
        zone: The only one that is looked at, in place of those.

    Raises:
        SettingsError: None has.
    """
    api, settings = api.raising(SettingsError), api.settings
    listed = api.list("machineTypes", "aggregatedList", filter=f'name = "{machine_type}"')
    wanted = (zone,) if zone else settings.zones
    named = {last_part(one["zone"]): one for one in listed if one["name"] == machine_type}
    there = sorted(one for one in named if one.startswith(f"{settings.region}-"))
    found = [named[one] for one in there if one in wanted or not wanted]
    if not found:
        raise SettingsError(
            f"No zone of the servers has machines of the type {machine_type}",
            facts=[f"zones in {settings.region} that have it: {', '.join(there) or 'none'}"],
            todo="Choose another size, or correct region, zones or build_zone under"
            " immutable-servers:gcp.",
        )
    return found


def refuse_cut_off(api: Api, *, bakes: bool) -> None:
    """Refuse machines that have no subnet, or would not reach what they need without an address.

    A bake needs the internet, for packages. A server needs Google alone, for its secrets.

    Raises:
        SettingsError: There is no subnet, or they would not reach it.
    """
    api, settings = api.raising(SettingsError), api.settings
    subnetwork = find_subnetwork(api)
    if settings.public_addresses or (bakes and settings.build_reach == "ssh"):
        return
    if subnetwork.get("privateIpGoogleAccess") and not bakes:
        return
    if _has_nat(api, subnetwork) or _has_own_way(api):
        return
    what, lacks = ("A bake", "the internet") if bakes else ("Servers", "any service of Google")
    raise SettingsError(
        f"{what} without an external address would not reach {lacks}",
        facts=[
            f"{subnetwork['name']} in {settings.region}: no Cloud NAT, no default route of your own"
        ],
        todo="Make a NAT with `gcloud compute routers nats create`, or set public_addresses: true"
        " under immutable-servers:gcp. Where servers need Google alone, Private Google Access of"
        " their subnet will do.",
    )


def _has_nat(api: Api, subnetwork: Mapping[str, Any]) -> bool:
    """Return whether Cloud NAT lends a subnet's machines its addresses."""
    ours = [one for one in api.list("routers") if _is_ours(api, one)]
    nats = [nat for one in ours for nat in one.get("nats", ())]
    named = {last_part(one["name"]) for nat in nats for one in nat.get("subnetworks", ())}
    covered = {nat.get("sourceSubnetworkIpRangesToNat") for nat in nats}
    return subnetwork["name"] in named or not covered.isdisjoint(EVERY_SUBNETWORK)


def _has_own_way(api: Api) -> bool:
    """Return whether the network leads to the outside through something of the user's own."""
    ways = [one for one in api.list("routes") if one["destRange"] == EVERYWHERE]
    return any(GATEWAY not in one for one in ways if _is_ours(api, one))


def _is_ours(api: Api, thing: Mapping[str, Any]) -> bool:
    return last_part(thing["network"]) == api.settings.network
