"""What is in every project from the start: places, machine types, the default network, images."""

from collections.abc import Mapping
from typing import Any

from clouds.gcp.emulation.calls import locate
from clouds.gcp.emulation.documents import read_document
from clouds.gcp.emulation.links import make_link
from clouds.gcp.emulation.plain import stamp
from clouds.gcp.emulation.world import World

PROJECT = "emulated-project"
REGIONS: Mapping[str, str] = {"europe-west3": "abc", "europe-west1": "bcd"}
"""Regions with the letters of their zones."""
MACHINES: Mapping[str, tuple[int, int, str]] = {
    "e2-micro": (2, 1024, "X86_64"),
    "e2-small": (2, 2048, "X86_64"),
    "e2-medium": (2, 4096, "X86_64"),
    "e2-standard-2": (2, 8192, "X86_64"),
    "e2-standard-4": (4, 16384, "X86_64"),
    "c4a-standard-1": (1, 4096, "ARM64"),
    "c4a-standard-2": (2, 8192, "ARM64"),
    "c4a-standard-4": (4, 16384, "ARM64"),
}
"""Processors, memory in MiB and architecture."""
DISKS = ("pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced")
QUOTAS: Mapping[str, float] = {
    "CPUS": 72,
    "INSTANCES": 720,
    "IN_USE_ADDRESSES": 69,
    "DISKS_TOTAL_GB": 40960,
    "REGIONAL_INSTANCE_GROUP_MANAGERS": 200,
}
GLOBAL_QUOTAS: Mapping[str, float] = {
    "BACKEND_SERVICES": 75,
    "CPUS_ALL_REGIONS": 128,
    "FIREWALLS": 200,
    "FORWARDING_RULES": 45,
    "GLOBAL_EXTERNAL_MANAGED_BACKEND_SERVICES": 75,
    "HEALTH_CHECKS": 150,
    "IMAGES": 2000,
    "INSTANCE_TEMPLATES": 300,
    "SSL_CERTIFICATES": 30,
    "STATIC_ADDRESSES": 21,
    "URL_MAPS": 30,
}
RULES: Mapping[str, tuple[str, list[dict[str, Any]]]] = {
    "icmp": ("0.0.0.0/0", [{"IPProtocol": "icmp"}]),
    "internal": (
        "10.128.0.0/9",
        [
            {"IPProtocol": "tcp", "ports": ["0-65535"]},
            {"IPProtocol": "udp", "ports": ["0-65535"]},
            {"IPProtocol": "icmp"},
        ],
    ),
    "rdp": ("0.0.0.0/0", [{"IPProtocol": "tcp", "ports": ["3389"]}]),
    "ssh": ("0.0.0.0/0", [{"IPProtocol": "tcp", "ports": ["22"]}]),
}
"""What the default network allows by itself:
https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc"""
PUBLIC = "debian-cloud"
"""The project of the images that a bake begins with."""


def seed(world: World) -> None:
    """Make what is there from the start."""
    with world.lock:
        for project in (PROJECT, PUBLIC):
            add_project(world, project)
        for architecture, ending in (("X86_64", ""), ("ARM64", "-arm64")):
            add_image(
                world, f"debian-13{ending}", f"debian-13-trixie{ending}-v20261112", architecture
            )


def add_project(world: World, project: str) -> None:
    """Make a project with its regions and its default network."""
    quotas = [{"metric": name, "limit": limit, "usage": 0} for name, limit in GLOBAL_QUOTAS.items()]
    common = {"kind": "compute#metadata", "fingerprint": "emulated", "items": []}
    words = {"commonInstanceMetadata": common, "quotas": quotas, "defaultNetworkTier": "PREMIUM"}
    make(world, f"projects/{project}", "Project", words)
    network = f"projects/{project}/global/networks/default"
    make(world, network, "Network", {"autoCreateSubnetworks": True, "mtu": 1460})
    gateway = make_link(f"projects/{project}/global/gateways/default-internet-gateway")
    words = {"network": make_link(network), "destRange": "0.0.0.0/0", "nextHopGateway": gateway}
    make(world, f"projects/{project}/global/routes/default-route-0", "Route", words)
    route = {
        "network": make_link(network),
        "destRange": "0.0.0.0/0",
        "priority": 1000,
        "nextHopGateway": make_link(f"projects/{project}/global/gateways/default-internet-gateway"),
    }
    make(world, f"projects/{project}/global/routes/default-route-internet", "Route", route)
    for name, (ranges, allowed) in RULES.items():
        rule = {
            "network": make_link(network),
            "direction": "INGRESS",
            "priority": 65534,
            "sourceRanges": [ranges],
            "allowed": allowed,
        }
        make(world, f"projects/{project}/global/firewalls/default-allow-{name}", "Firewall", rule)
    for number, (region, letters) in enumerate(REGIONS.items()):
        _add_region(world, project, region, letters)
        subnetwork = {
            "network": make_link(network),
            "ipCidrRange": f"10.{132 + number}.0.0/20",
            "region": make_link(f"projects/{project}/regions/{region}"),
            "privateIpGoogleAccess": False,
            "purpose": "PRIVATE",
        }
        make(
            world,
            f"projects/{project}/regions/{region}/subnetworks/default",
            "Subnetwork",
            subnetwork,
        )


def _add_region(world: World, project: str, region: str, letters: str) -> None:
    zones = [f"projects/{project}/zones/{region}-{letter}" for letter in letters]
    path = f"projects/{project}/regions/{region}"
    quotas = [{"metric": name, "limit": limit, "usage": 0} for name, limit in QUOTAS.items()]
    words = {"status": "UP", "quotas": quotas, "zones": [make_link(zone) for zone in zones]}
    make(world, path, "Region", words)
    for zone in zones:
        make(world, zone, "Zone", {"status": "UP", "region": make_link(path)})
        for disk in DISKS:
            make(world, f"{zone}/diskTypes/{disk}", "DiskType", locate(zone))
        for name, (processors, memory, architecture) in MACHINES.items():
            machine = {
                "guestCpus": processors,
                "memoryMb": memory,
                "architecture": architecture,
                "zone": zone.rpartition("/")[2],
            }
            make(world, f"{zone}/machineTypes/{name}", "MachineType", machine)


def add_image(world: World, family: str, name: str, architecture: str) -> None:
    """Make a public image."""
    words = {
        "family": family,
        "status": "READY",
        "architecture": architecture,
        "diskSizeGb": "10",
        "archiveSizeBytes": "1000000",
        "sourceType": "RAW",
        "storageLocations": ["eu"],
        "guestOsFeatures": [{"type": "UEFI_COMPATIBLE"}, {"type": "GVNIC"}],
    }
    make(world, f"projects/{PUBLIC}/global/images/{name}", "Image", words)


def make(world: World, path: str, schema: str, words: Mapping[str, Any]) -> None:
    """Make a thing as it stands."""
    world.store.make(path, stamp(read_document("compute/v1"), schema, dict(words)))


__all__ = ["PROJECT", "PUBLIC", "REGIONS", "add_image", "add_project", "seed"]
