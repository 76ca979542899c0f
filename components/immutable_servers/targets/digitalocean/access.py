"""Reaches the servers' SSH port while their generation's login window is open, and no longer."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.values import FleetSpec, Launch, Say, Scope
from immutable_servers.system.keys import find_or_make_key_pair
from immutable_servers.system.places import data_dir
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.cloud.access import CloudAccess
from immutable_servers.targets.digitalocean.api import Api, Thing
from immutable_servers.targets.digitalocean.firewalls import SSH_PORT, read_ours
from immutable_servers.targets.digitalocean.fleets import DoFleets, name_way
from immutable_servers.targets.digitalocean.names import (
    ACTIVE,
    PROBING,
    list_whose,
    make_name,
    make_tag,
    tag_window,
)
from immutable_servers.targets.digitalocean.needs import NEEDS
from immutable_servers.targets.digitalocean.settings import DoSettings
from immutable_servers.targets.digitalocean.template import render_open, render_shape
from immutable_servers.targets.digitalocean.verifier import find_verifiers
from immutable_servers.targets.shared.ssh import Host

HOST_KEY = "host_key"


class DoAccess(CloudAccess):
    """Logs in directly or by the user's ssh configuration, to host keys that we have made.

    No console shows a server's host key, so its launch hands one over. It is worth nothing once the
    server is sealed (docs/decisions/0047).
    """

    fleets: DoFleets
    api: Api
    settings: DoSettings
    variables = NEEDS.variables
    _name = staticmethod(make_name)
    login_todo = (
        "See that verify_through and verify_from under immutable-servers:digitalocean fit the"
        " network, then run the update again."
    )
    keys_todo = (
        "They are made where a generation is launched: run ./immutable up there, or set"
        " verify_through under immutable-servers:digitalocean to private or ssh_config."
    )

    def make_key(self, scope: Scope) -> str:
        """Make or find the verifier's key pair, and the host key of the generation's servers."""
        make_host_key(self._folder(scope), scope)
        return super().make_key(scope)

    def delete_key(self, scope: Scope) -> None:
        """Delete the host key with the key pairs."""
        for name in (HOST_KEY, f"{HOST_KEY}.pub"):
            (self._folder(scope) / name).unlink(missing_ok=True)
        super().delete_key(scope)

    def _find_host(self, scope: Scope, instance: Thing) -> Host:
        key, address = read_host_key(scope), self.fleets.find_address(instance)
        return Host(instance["name"], address, key=key if address else "")

    def find_ways(self, scope: Scope) -> Sequence[ends.Thing]:
        """Return the firewalls of windows that are the scope's; an empty one is any's."""
        return self.fleets.firewalls.find_ways(scope)

    def remove_way(self, name: str) -> None:
        """Remove a firewall by its name."""
        self.fleets.firewalls.remove(name)

    def _let_in(self, scope: Scope, end: int) -> None:
        self._open(scope, end, SSH_PORT)

    def _open(self, scope: Scope, end: int, *more: int) -> None:
        fleet = self.fleets.find(scope).get(scope.generation)
        if fleet:
            port = Launch.from_plain(fleet.record["launch"]).port
            tags, sources = [tag_window(scope, end), *list_whose(scope)], find_verifiers(self.api)
            self.fleets.firewalls.open(name_way(scope), tags, sources, port, *more)

    @contextmanager
    def hold_asking(self, scope: Scope) -> Iterator[None]:
        """Have sealed droplets answer this machine in the block: a new one has yet to prove itself.

        Theirs is the service's port alone, and nobody but a balancer may ask it before and after.
        """
        if self.settings.reach == "ssh_config" or self._find_window_end(scope):
            yield
            return
        end = int(time.time() + 2 * self.settings.boot_deadline)
        try:
            self._open(scope, end)
            yield
        finally:
            self.remove_way(name_way(scope))
            self.api.delete("tags", tag_id=tag_window(scope, end))

    def _end_late(self, scope: Scope, checked: Collection[str], say: Say) -> None:
        found = self.fleets.find_instances(scope)
        late = [found[name] for name in sorted(found.keys() - {*checked})]
        for one in late:
            say(f"ends {one['name']}: it came when the others had been checked")
        self.fleets.groups.remove(late)

    def _close_way(self, scope: Scope, sealed: Sequence[str], say: Say) -> None:
        """Take the window off droplets at last: until then a killed run can be repeated."""
        end = self._find_window_end(scope)
        super()._close_way(scope, sealed, say)
        if end:
            self.api.delete("tags", tag_id=tag_window(scope, end))

    def find_probes(self, scope: Scope) -> Sequence[tuple[Thing, Mapping[str, str]]]:
        """Return probes that are the scope's with our words of them; an empty scope is any's."""
        droplets = self.api.list("droplets")
        found = [(one, read_ours(one["tags"], scope, PROBING)) for one in droplets]
        return [(one, words) for one, words in found if ends.PROBE in words]

    def remove_probes(self, scope: Scope) -> None:
        """Remove their droplets; the firewalls that let somebody in to them have ends, too."""
        over = [one for one, words in self.find_probes(scope) if ends.is_over(words, ends.PROBE)]
        self.fleets.groups.remove(over)

    @contextmanager
    def _launch_probe(self, spec: FleetSpec, folder: Path, say: Say) -> Iterator[Host]:
        """Launch a droplet that has none of the service's tags; its firewall is there before."""
        del say
        scope, end = spec.scope, spec.window_ends
        name, own = f"{make_name(scope)}-probe-{end}", make_tag(ends.PROBE, scope, str(end))
        tags = [own, *list_whose(scope, PROBING)]
        key = make_host_key(folder, scope)
        try:
            self.fleets.firewalls.open(name, tags, find_verifiers(self.api), SSH_PORT)
            found = self._launch(spec, name, tags, (folder / HOST_KEY).read_text("ascii"))
            yield Host(name, self.fleets.find_address(found), key=key)
        finally:
            self.fleets.groups.remove(self.api.list("droplets", tag_name=own))
            self.remove_way(name)
            for tag in [own] if self.find_probes(scope) else tags:
                self.api.delete("tags", tag_id=tag)

    def _launch(self, spec: FleetSpec, name: str, tags: Sequence[str], host_key: str) -> Thing:
        """Launch a probe's droplet; return it once it runs: a look may not show a new one yet."""
        shape = render_shape(self.settings, spec.launch)
        opened = render_open(
            spec.scope, spec.launch, name, spec.public_key, spec.window_ends, "", host_key
        )
        body = {
            **{key: said for key, said in shape.items() if key != "droplet_agent"},
            "with_droplet_agent": shape["droplet_agent"],
            "name": name,
            "image": int(spec.artifact.rpartition(":")[2]),
            "tags": [*tags],
            "user_data": opened,
        }
        droplet = self.api.call("droplets.create", body=body)["droplet"]["id"]

        def look() -> Thing | None:
            found = self.api.find("droplets", droplet_id=droplet)
            return found if found and found["status"] == ACTIVE else None

        return self.api.wait(f"droplet {droplet}", look)


def make_host_key(folder: Path, scope: Scope) -> str:
    """Make or find the host key of servers in the folder of their login; return the public key."""
    return find_or_make_key_pair(folder / HOST_KEY, scope.name)


def find_host_key(scope: Scope) -> str:
    """Return the private host key of a generation's servers; empty where it is not here."""
    return _read(scope, HOST_KEY)


def read_host_key(scope: Scope) -> str:
    """Return the public host key of a generation's servers; empty where it is not here."""
    return " ".join(_read(scope, f"{HOST_KEY}.pub").split()[:2])


def _read(scope: Scope, name: str) -> str:
    file = data_dir() / DoSettings.target / make_name(scope) / name
    return file.read_text(encoding="ascii") if file.exists() else ""
