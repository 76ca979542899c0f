"""What runs on the instances that the API says are there: small servers, or machines of QEMU."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from clouds.gcp.emulation.disks import find_disk_files, find_image_files
from clouds.gcp.emulation.firewall import is_let_in
from clouds.gcp.emulation.links import read_path
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World
from clouds.shared.cloud_guest import GOOGLE, Guest
from clouds.shared.cloud_loopback import start_loop
from clouds.shared.cloud_machine import SSH_PORT, Boot, Machine, Surroundings, read_launch

CHECKER = "250.1"
"""The two last numbers of the address from which Google's front ends and health checks ask."""
SOURCES: Mapping[str, str] = {CHECKER: "35.191.0.1", "250.2": "35.235.240.1"}
"""Google's addresses by those that stand for them here: front ends and checks, and IAP."""
GUEST_SSH = 22
"""The port that rules name for logins."""
LAUNCH, WINDOW = "immutable-launch", "immutable-window"


class Machines:
    """The instances' inside.

    Attributes:
        loop: Where logins are answered.
        traffic: Where HTTP is answered.
        running: What answers, by the instance's path.
        rules: The firewall rules as they are now.
        named: Instances by name, for the firewall.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.loop, self.traffic = start_loop(), start_loop()
        self.running: dict[str, Machine | Guest] = {}
        self.rules: list[Thing] = []
        self.named: dict[str, Thing] = {}
        self.seen = -1

    def settle(self) -> None:
        """Bring what runs to what the store says."""
        store = self.world.store
        if store.changes == self.seen:
            return
        self.seen = store.changes
        there = store.list_all("instances")
        self.rules = [*store.list_all("firewalls").values()]
        self.named = {one["name"]: one for one in there.values()}
        for path in [one for one in self.running if not is_running(there.get(one))]:
            self.running.pop(path).end()
            self.world.journal.note("end", instance=path.rpartition("/")[2])
        for path, instance in there.items():
            if path not in self.running and is_running(instance):
                self.running[path] = self._boot(path, instance)

    def end(self) -> None:
        """End every machine."""
        for machine in self.running.values():
            machine.end()

    def lets_in(self, name: str, source: str, port: int) -> bool:
        """Tell whether the firewall lets an address of this machine come to an instance's port."""
        instance = self.named.get(name)
        asked = SOURCES.get(source.removeprefix(f"{self.world.network}."), source)
        wanted = GUEST_SSH if port == SSH_PORT else port
        return instance is not None and is_let_in(self.rules, instance, asked, wanted)

    def _boot(self, path: str, instance: Thing) -> Machine | Guest:
        name, texts = instance["name"], read_metadata(instance)
        self.world.journal.note("boot", instance=name, labels=instance.get("labels", {}))
        address = instance["networkInterfaces"][0]["networkIP"]
        files, place = self._find_files(instance)
        if files.exists():
            return self._boot_guest(path, instance, files, place)
        launch = {**read_launch(texts.get(LAUNCH, "")), **read_launch(texts.get(WINDOW, ""))}
        user, _, key = texts.get("ssh-keys", "").partition("\n")[0].partition(":")
        machine = Machine(
            Boot(name, address, json.dumps(launch) if launch else "", key, user), self._surround()
        )
        self.world.write_console(path, machine.console)
        return machine

    def _surround(self) -> Surroundings:
        world = self.world
        places = (world.folder, world.journal, self.loop, self.traffic)
        return Surroundings(*places, world.clock.now, world.manners, self.lets_in)

    def _boot_guest(self, path: str, instance: Thing, files: Path, place: Path) -> Guest:
        """Boot a machine of QEMU; one that was made again has nothing of the one before."""
        shutil.rmtree(place, ignore_errors=True)
        address = instance["networkInterfaces"][0]["networkIP"]
        guest = Guest(GOOGLE, render_paths(instance), address, files, place, self.loop)
        self.world.follow_console(path, place / "console.log")
        return guest

    def _find_files(self, instance: Thing) -> tuple[Path, Path]:
        """Return the files of the image of an instance's boot disk, and those of the disk."""
        (boot, *_) = (one for one in instance["disks"] if one.get("boot"))
        disk = self.world.store.find(read_path(boot["source"], "")) or {}
        image, folder = disk.get("sourceImage", "none").rpartition("/")[2], self.world.folder
        return find_image_files(folder, image), find_disk_files(folder, disk.get("name", "none"))


def is_running(instance: Thing | None) -> bool:
    """Tell whether something runs on an instance."""
    return instance is not None and instance.get("status") == "RUNNING"


def read_metadata(instance: Thing) -> dict[str, str]:
    """Return an instance's metadata by key."""
    items = instance.get("metadata", {}).get("items", ())
    return {one["key"]: one.get("value", "") for one in items}


def render_paths(instance: Thing) -> dict[str, str]:
    """Return what the metadata server says, by path."""
    texts = read_metadata(instance)
    return {
        "instance/name": instance["name"],
        "instance/id": instance["id"],
        **{f"instance/attributes/{key}": text for key, text in texts.items()},
    }


def find_machines(world: World) -> Machines:
    """Return the part that has the machines."""
    (found,) = (part for part in world.parts if isinstance(part, Machines))
    return found
