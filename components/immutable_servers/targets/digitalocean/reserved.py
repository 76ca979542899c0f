"""Leads a reserved address to the only server of a service that has no load balancer.

An address has neither a name nor tags: a tag of ours that nothing has says whose it is. Who has the
address has all traffic. One action moves it from droplet to droplet, and ends the connections that
are open; nobody says how many requests fail meanwhile.
https://docs.digitalocean.com/products/networking/reserved-ips/
"""

from collections.abc import Sequence

from immutable_servers.contract.values import Member, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.targets.digitalocean.api import BUSY, Api, Thing
from immutable_servers.targets.digitalocean.droplets import ask_server, find_address, list_active
from immutable_servers.targets.digitalocean.names import tag_reserved, unpack_launch

ASSIGN_SECONDS = 300.0
"""How long an assignment may take."""


def find_reserved(api: Api, scope: Scope) -> Thing | None:
    """Return a service's reserved address; None where it has none."""
    tags, start = api.list_tags(), tag_reserved(scope, "")
    if not any(tag.startswith(start) for tag in tags):
        return None  # who has none needs no right to list them
    found = api.list("reserved_ips")
    return next((one for one in found if tag_reserved(scope, one["ip"]) in tags), None)


def list_holders(address: Thing | None) -> Sequence[Thing]:
    """Return the droplet that has an address, if one has it."""
    holder = address and address.get("droplet")
    return [holder] if holder else []


class ReservedIp:
    """The address of a service, which one droplet has, or none."""

    def __init__(self, api: Api, scope: Scope, found: Thing) -> None:
        self.api, self.scope, self.found = api, scope, found
        self.holder = next(iter(list_holders(found)), None)

    def describe(self, droplet: Thing) -> Member:
        """Return a droplet that runs as what the address leads to, now or after a move.

        The one that has the address is asked there: no balancer checks it.
        """
        if not self.holder or self.holder["id"] != droplet["id"]:
            return Member(up=True, detail="it runs, and has no reserved IP yet")
        failure = self._find_failure(droplet, self.found["ip"])
        return Member(up=not failure, detail=failure or f"it has {self.found['ip']}")

    def move(self, _pace: object, new: Sequence[Thing]) -> None:
        """Have the address lead to the first droplet that runs, or to none, and wait for that.

        Args:
            new: The scope's generation's; none is for nobody.

        Raises:
            TrafficError: The droplet answers badly, or DigitalOcean refuses or could not do it.
            StoppedError: This process was asked to stop; an assignment that has begun goes on.
        """
        wanted = min(list_active(new), key=lambda one: int(one["id"]), default=None)
        if (wanted and wanted["id"]) == (self.holder and self.holder["id"]):
            return
        failure = self._find_failure(wanted, find_address(wanted, "public")) if wanted else ""
        if wanted and failure:  # nothing else checks it
            service, generation = self.scope.service, self.scope.generation
            raise TrafficError(
                f"Traffic of {service} stays: generation {generation} answers badly",
                facts=[f"{wanted['name']}: {failure}"],
                todo="See what the application has logged, as DigitalOcean shows no consoles; then"
                " run ./immutable up again.",
            )
        body = {"type": "assign", "droplet_id": wanted["id"]} if wanted else {"type": "unassign"}
        which = {"reserved_ip": self.found["ip"], "body": body}
        said = self.api.call("reserved_ips_actions.post", again=BUSY, **which)
        self.api.wait_action(said["action"]["id"], ASSIGN_SECONDS)

    def _find_failure(self, droplet: Thing, address: str) -> str:
        """Return what a visitor of a droplet has at an address in place of an answer, if so.

        Where `allow_from` keeps this machine away nobody knows.
        """
        reply = ask_server(address, unpack_launch(self.scope, droplet["tags"]))
        return "" if reply.silent else reply.failure
