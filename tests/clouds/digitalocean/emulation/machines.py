"""What runs on active droplets: small servers that answer HTTP and take logins, or QEMU machines.

A droplet answers on each port that a firewall of its lets in, and on those that a balancer asks.
"""

import json
from collections.abc import Iterator

from clouds.digitalocean.emulation.disks import find_disk_files, find_image_files
from clouds.digitalocean.emulation.firewalls import concerns, is_let_in
from clouds.digitalocean.emulation.store import Thing
from clouds.digitalocean.emulation.world import NODES, World
from clouds.shared.cloud_guest import CARD, DIGITALOCEAN, Guest
from clouds.shared.cloud_loopback import start_loop
from clouds.shared.cloud_machine import SSH_PORT, Boot, Machine, Surroundings

GUEST_SSH = 22
"""What firewalls call the port where droplets take logins."""


class Machines:
    """The droplets that run.

    Attributes:
        loop: Where logins are answered.
        traffic: Where HTTP is.
        running: By the droplet's id.
    """

    def __init__(self, world: World) -> None:
        self.world, self.seen = world, -1
        self.loop, self.traffic = start_loop(), start_loop()
        self.running: dict[str, Machine | Guest] = {}

    def settle(self) -> None:
        """Bring what runs to what the store says."""
        store = self.world.store
        if store.changes == self.seen:
            return
        self.seen = store.changes
        active = {
            str(one["id"]): one for one in store.list("droplets") if one["status"] == "active"
        }
        for which in [one for one in self.running if one not in active]:
            self.running.pop(which).end()
            self.world.journal.note("end", instance=which)
        for which, droplet in active.items():
            if which not in self.running:
                self.running[which] = self._boot(which, droplet)
            for port in {*self._list_ports(droplet)}:
                self.running[which].listen(port)

    def end(self) -> None:
        """End every machine."""
        for machine in self.running.values():
            machine.end()

    def lets_in(self, which: str, source: str, port: int) -> bool:
        """Tell whether firewalls let an address of this machine come to a droplet's port."""
        balancer = ""
        if source.startswith(f"{self.world.network}.{NODES}."):
            found = self.world.store.list("load_balancers")
            balancer = next((one["id"] for one in found if one["_source"] == source), "gone")
        wanted = GUEST_SSH if port == SSH_PORT else port
        return is_let_in(self.world, which, source, wanted, balancer)

    def _boot(self, which: str, droplet: Thing) -> Machine | Guest:
        self.world.journal.note("boot", instance=which, name=droplet["name"], tags=droplet["tags"])
        world, key = self.world, next(iter(droplet["_keys"]), "")
        places = (world.folder, world.journal, self.loop, self.traffic)
        around = Surroundings(*places, world.clock.now, world.manners, self.lets_in)
        address = droplet["_cards"][0]["ip_address"]
        files = find_image_files(world.folder, droplet["image"])
        if files.exists():
            place = find_disk_files(world.folder, which)
            return Guest(DIGITALOCEAN, render_paths(droplet), address, files, place, self.loop)
        return Machine(Boot(which, address, droplet["_user_data"], key, "root"), around)

    def _list_ports(self, droplet: Thing) -> Iterator[int]:
        for firewall in self.world.store.list("firewalls"):
            for rule in firewall["inbound_rules"] if concerns(firewall, droplet) else ():
                if rule["ports"].isdigit() and rule["ports"] not in ("0", str(GUEST_SSH)):
                    yield int(rule["ports"])
        for balancer in self.world.store.list("load_balancers"):
            if balancer["vpc_uuid"] == droplet["vpc_uuid"]:
                yield balancer["health_check"]["port"]
                yield from (rule["target_port"] for rule in balancer["forwarding_rules"])


def render_paths(droplet: Thing) -> dict[str, str]:
    """Return what the metadata service says by path, as far as somebody asks for it.

    https://docs.digitalocean.com/reference/api/metadata/
    """
    ipv4 = {"ip_address": DIGITALOCEAN.address, "netmask": "255.255.0.0", "gateway": "169.0.0.2"}
    document = {
        "droplet_id": droplet["id"],
        "hostname": droplet["name"],
        "public_keys": droplet["_keys"],
        "region": droplet["region"]["slug"],
        "interfaces": {"public": [{"ipv4": ipv4, "mac": CARD, "type": "public"}]},
        "dns": {"nameservers": ["169.0.0.3"]},
    }
    return {
        "v1.json": json.dumps(document),
        "v1/id": str(droplet["id"]),
        "v1/public-keys": "\n".join(droplet["_keys"]),
        "v1/user-data": droplet["_user_data"],
    }


def find_machines(world: World) -> Machines:
    """Return the part that has the machines."""
    (found,) = (part for part in world.parts if isinstance(part, Machines))
    return found
