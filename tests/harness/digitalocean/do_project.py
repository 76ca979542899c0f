"""A sample project on the digitalocean target and the emulated account, driven as a user would."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.cloud_project import CallNames, CloudProject
from harness.digitalocean.cloud import REGION, Cloud
from harness.digitalocean.roles import find_refused
from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.targets.cloud.images import render_description
from immutable_servers.targets.digitalocean.names import PREFIX, name_image
from immutable_servers.targets.digitalocean.needs import PLUGIN

SSH = "22"
HERE = "127.0.0.1"
"""The address from which this machine asks for logins."""
DEBIAN = "debian-13-x64"
LEFT = ("droplets", "load_balancers", "firewalls", "account/keys")


@dataclass
class DoProject(CloudProject[Cloud]):
    """The copy of the sample, and its account."""

    target: ClassVar[str] = "digitalocean"
    usual: ClassVar[Mapping[str, Any]] = {"region": REGION, "verify_from": [f"{HERE}/32"]}
    packer_plugin: ClassVar[PackerPlugin] = PLUGIN
    calls: ClassVar[CallNames] = CallNames(
        find_image="images.list",
        make_fleet="droplets.create",
        end_fleet="droplets.destroy",
        make_server="droplets.create",
        ask_health="droplets.list",
        move="tags.unassign_resources",
    )
    reading: ClassVar[tuple[str, ...]] = ("get", "list")
    find_refused = staticmethod(find_refused)
    name_image = staticmethod(name_image)

    def register_image(self, lineage: Mapping[str, Any]) -> None:
        """Have a snapshot be there as a bake leaves it, unless it is."""
        name = name_image(lineage["image"], lineage["version"])
        if name in self.list_images():
            return
        number = zlib.crc32(name.encode())
        snapshot = {
            "id": number,
            "name": name,
            "type": "snapshot",
            "distribution": "Debian",
            "slug": None,
            "public": False,
            "regions": [REGION],
            "created_at": "2026-11-01T00:00:00Z",
            "min_disk_size": 25,
            "size_gigabytes": 1.5,
            "status": "available",
            "_droplet": 1,
            "description": render_description(lineage),
            "tags": [],
        }
        self.cloud.put("images", number, snapshot)

    def offer_debian(self) -> tuple[str, dict[str, Any]]:
        """Find DigitalOcean's Debian."""
        found = self.cloud.ask("GET", f"images/{DEBIAN}").body["image"]
        return DEBIAN, {"image": str(found["id"]), "slug": DEBIAN, "created": found["created_at"]}

    # what a test changes
    def end_server(self, generation: str) -> None:
        """End a server of a generation by hand."""
        one = next(one for one in self.find_all("droplets") if generation in one["name"])
        self.cloud.ask("DELETE", f"droplets/{one['id']}")

    # what is true
    def list_moves(self, service: str) -> list[dict[str, Any]]:
        """Return each change of the one generation that has a service's traffic."""
        events = self.cloud.read_all()
        return [
            one for one in events if self.is_move(one) and one["balancer"].startswith(f"{service}-")
        ]

    def is_move(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event is the end of a move: two generations at once are on the way."""
        return event["event"] == "traffic" and len(event["weights"]) == 1

    def list_moving_calls(self) -> Sequence[str]:
        """Return the calls that have new droplets join, and the one that has old ones leave."""
        return ["tags.create", "tags.assign_resources", self.calls.move]

    def groups(self) -> dict[str, int]:
        """Return the fleets that exist and how many servers each has."""
        counted: dict[str, int] = {}
        for one in self.find_all("droplets"):
            generation = one["name"].split("-")[-2]
            counted[generation] = counted.get(generation, 0) + (one["status"] == "active")
        return counted

    def find_ways(self) -> list[str]:
        """Return the firewalls that let somebody in to SSH."""
        return [
            one["name"]
            for one in self.find_all("firewalls")
            if any(rule["ports"] == SSH for rule in one["inbound_rules"])
        ]

    def find_all(self, collection: str) -> list[dict[str, Any]]:
        """Return all of a collection."""
        found = self.cloud.ask("GET", f"{collection}?per_page=200").body
        return [*found[{"account/keys": "ssh_keys"}.get(collection, collection)]]

    def list_images(self) -> dict[str, dict[str, Any]]:
        """Return the account's snapshots by name."""
        found = self.cloud.ask("GET", "images?private=true&per_page=200").body["images"]
        return {one["name"]: one for one in found}

    def list_left(self) -> list[str]:
        """Return what there is beside networks and images."""
        return [*self._list_left()]

    def _list_left(self) -> Iterator[str]:
        for collection in LEFT:
            yield from (f"{collection}: {one['name']}" for one in self.find_all(collection))
        for tag in self.find_all("tags"):
            if tag["name"].startswith(PREFIX) and not tag["resources"]["images"]["count"]:
                yield f"tags: {tag['name']}"
