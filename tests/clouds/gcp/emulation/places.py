"""Regions, zones, machine types, networks and firewall rules."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from clouds.gcp.emulation.kinds import CHANGED, KINDS, PLAIN, Kind
from clouds.gcp.emulation.links import V1
from clouds.gcp.emulation.refusals import Refusal, refuse_invalid
from clouds.gcp.emulation.world import World

READ = frozenset({"get", "list"})
MOST_TARGETS = 10


def check_firewall(world: World, path: str, rule: Mapping[str, Any]) -> None:
    """Refuse a rule that says neither what it allows nor what it denies, or mixes its targets."""
    del world, path
    if bool(rule.get("allowed")) == bool(rule.get("denied")):
        raise refuse_invalid("resource", "", "Either allowed or denied must be given, not both.")
    accounts = rule.get("targetServiceAccounts", []) + rule.get("sourceServiceAccounts", [])
    if accounts and (rule.get("targetTags") or rule.get("sourceTags")):
        raise refuse_invalid("resource", "", "Service accounts and tags cannot be mixed.")
    if len(rule.get("targetServiceAccounts", [])) > MOST_TARGETS:
        raise refuse_invalid("resource.targetServiceAccounts", accounts, "At most 10 are possible.")
    network = rule.get("network")
    if network and not network.startswith(V1):
        raise refuse_invalid("resource.network", network, "The URL is malformed.")
    for text in rule.get("sourceRanges", []):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise refuse_invalid("resource.sourceRanges", text, str(error)) from error


def check_subnetwork(world: World, path: str, subnetwork: Mapping[str, Any]) -> None:
    """Refuse a range that is none."""
    del world, path
    try:
        ipaddress.ip_network(str(subnetwork.get("ipCidrRange")))
    except ValueError as error:
        raise Refusal("invalid", str(error)) from error


KINDS |= {
    "securityPolicies": Kind(PLAIN, users=("backendServices",)),
    "sslPolicies": Kind(PLAIN, users=("targetHttpsProxies",)),
    "regions": Kind(READ),
    "zones": Kind(READ),
    "machineTypes": Kind(READ),
    "diskTypes": Kind(READ),
    "networks": Kind(
        PLAIN, users=("subnetworks", "firewalls", "routers", "instances"), defaults={"mtu": 1460}
    ),
    "subnetworks": Kind(
        PLAIN,
        needed=("network", "ipCidrRange"),
        users=("instances",),
        check=check_subnetwork,
        defaults={"purpose": "PRIVATE"},
    ),
    "routers": Kind(CHANGED, needed=("network",)),
    "routes": Kind(PLAIN, needed=("network", "destRange")),
    "firewalls": Kind(
        CHANGED, check=check_firewall, defaults={"direction": "INGRESS", "priority": 1000}
    ),
}
