"""A sample project on the gcp target and the emulated cloud, driven as a user would."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.cloud_project import CallNames, CloudProject
from harness.gcp.cloud import PROJECT, REGION, ZONES, Cloud
from harness.gcp.roles import find_refused
from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.targets.cloud.images import render_description
from immutable_servers.targets.gcp.names import LABELS, MARK, name_image
from immutable_servers.targets.gcp.needs import PLUGIN

SSH = "22"
HERE = "127.0.0.1"
"""The address from which this machine asks for logins."""
READING = ("aggregatedList", "get", "list", "wait", "testIamPermissions", "validate")
"""How the names of calls begin that change nothing."""
DEBIAN = "debian-cloud"
OPEN = "default-allow-ssh"
"""Google's own rule of the default network, which lets everybody in; many have closed it."""
LEFT = (
    "backendServices",
    "firewalls",
    "globalAddresses",
    "globalForwardingRules",
    "healthChecks",
    "instanceTemplates",
    "sslCertificates",
    "targetHttpProxies",
    "targetHttpsProxies",
    "urlMaps",
)


@dataclass
class GcpProject(CloudProject[Cloud]):
    """The copy of the sample, and its cloud."""

    target: ClassVar[str] = "gcp"
    usual: ClassVar[Mapping[str, Any]] = {
        "project": PROJECT,
        "region": REGION,
        "verify_from": [f"{HERE}/32"],
    }
    packer_plugin: ClassVar[PackerPlugin] = PLUGIN
    calls: ClassVar[CallNames] = CallNames(
        find_image="compute.images.get",
        make_fleet="compute.regionInstanceGroupManagers.insert",
        end_fleet="compute.regionInstanceGroupManagers.delete",
        make_server="compute.instances.insert",
        ask_health="compute.backendServices.getHealth",
        move="compute.urlMaps.patch",
    )
    reading: ClassVar[tuple[str, ...]] = READING
    find_refused = staticmethod(find_refused)
    name_image = staticmethod(name_image)

    def register_image(self, lineage: Mapping[str, Any]) -> None:
        """Make an image, unless it is there."""
        images, name = (
            self.cloud.client().images(),
            name_image(lineage["image"], lineage["version"]),
        )
        if images.list(project=PROJECT, filter=f'name = "{name}"').execute().get("items"):
            return
        disks, disk = self.cloud.client().disks(), {"name": name, "sizeGb": "10"}
        self._await(disks.insert(project=PROJECT, zone=ZONES[1], body=disk).execute(), ZONES[1])
        body = {
            "name": name,
            "description": render_description(lineage, **{MARK: 1}),
            "labels": LABELS.write({key: lineage[key] for key in ("image", "version")}),
            "sourceDisk": f"projects/{PROJECT}/zones/{ZONES[1]}/disks/{name}",
            "sourceType": "RAW",
        }
        self._await(images.insert(project=PROJECT, body=body).execute())

    def _await(self, operation: Mapping[str, Any], zone: str = "") -> None:
        client, where = self.cloud.client(), {"zone": zone} if zone else {}
        operations = client.zoneOperations() if zone else client.globalOperations()
        done = operations.wait(project=PROJECT, operation=operation["name"], **where).execute()
        assert not done.get("error"), done

    def offer_debian(self) -> tuple[str, dict[str, Any]]:
        """Find Google's newest Debian, and have the default network let nobody in."""
        client = self.cloud.client()
        found = client.images().getFromFamily(project=DEBIAN, family="debian-13").execute()
        closed = client.firewalls().patch(project=PROJECT, firewall=OPEN, body={"disabled": True})
        closed.execute()
        image = f"projects/{DEBIAN}/global/images/{found['name']}"
        return found["name"], {"image": image, "id": found["id"]}

    # what a test changes
    def end_server(self, generation: str) -> None:
        """End a server of a generation by hand."""
        instances = self.cloud.client().instances()
        for zone in ZONES:
            found = instances.list(project=PROJECT, zone=zone).execute().get("items", ())
            for one in found:
                if generation in one["name"]:
                    instances.delete(project=PROJECT, zone=zone, instance=one["name"]).execute()
                    return

    # what is true
    def list_moves(self, service: str) -> list[dict[str, Any]]:
        """Return each change of where a service's traffic goes."""
        events = self.cloud.read_all()
        return [one for one in events if one["event"] == "traffic" and one["service"] == service]

    def groups(self) -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        managers = self.cloud.client().regionInstanceGroupManagers()
        found = managers.list(project=PROJECT, region=REGION).execute().get("items", ())
        return {one["name"].split("-")[-2]: self._count(one["name"]) for one in found}

    def _count(self, group: str) -> int:
        managers = self.cloud.client().regionInstanceGroupManagers()
        where = {"project": PROJECT, "region": REGION, "instanceGroupManager": group}
        found = managers.listManagedInstances(**where).execute().get("managedInstances", ())
        return sum(one.get("instanceStatus") == "RUNNING" for one in found)

    def find_ways(self) -> list[str]:
        """Return our rules that let somebody in to SSH."""
        return [
            rule["name"]
            for rule in self.find_all("firewalls")
            if json.loads(rule.get("description") or "{}")
            and any(SSH in one.get("ports", ()) for one in rule.get("allowed", ()))
        ]

    def find_all(self, collection: str) -> list[dict[str, Any]]:
        """Return all of a global collection but what is Google's own."""
        found = getattr(self.cloud.client(), collection)().list(project=PROJECT).execute()
        things = found.get("items", ())
        return [one for one in things if not one["name"].startswith("default")]

    def list_images(self) -> dict[str, dict[str, Any]]:
        """Return the project's images by name."""
        return {image["name"]: image for image in self.find_all("images")}

    def list_everywhere(self, collection: str) -> list[dict[str, Any]]:
        """Return the things of a kind in all zones."""
        kind = getattr(self.cloud.client(), collection)()
        found = kind.aggregatedList(project=PROJECT).execute()
        return [one for place in found["items"].values() for one in place.get(collection, ())]

    def list_left(self) -> list[str]:
        """Return what there is beside networks and images."""
        found = [f"{one}: {thing['name']}" for one in LEFT for thing in self.find_all(one)]
        return [*found, *self.groups()]
