"""Droplets, and what belongs to them: tags, reserved addresses."""

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import quote

from do_fields import Field, render
from do_kinds import Constant, Kind, name_thing
from do_wire import GONE, ApiError, wait_for
from shared_wire import Values

SWITCHES = {"ipv6": "enable_ipv6", "backups": "enable_backups"}
"""Features and the actions that turn them on; `find_replaced` says what happens the other way."""


class Droplet(Kind):
    """A server. Its size and its name change in place: a power cycle that nobody asks about."""

    urn_type = "digitalocean:index/droplet:Droplet"
    collection, root = "droplets", "droplet"
    computed = ("dropletUrn", "ipv4Address", "ipv4AddressPrivate", "status", "vpcUuid", "disk")
    defaults: ClassVar[Values] = {
        "backups": False,
        "gracefulShutdown": False,
        "ipv6": False,
        "monitoring": False,
        "resizeDisk": True,
    }
    fields: ClassVar[Sequence[Field]] = (
        Field("name"),
        Field("image", hidden=True),
        Field("region", computed=True),
        Field("size"),
        Field("backups", default=False),
        Field("ipv6", default=False),
        Field("monitoring", default=False),
        Field("dropletAgent", "with_droplet_agent", hidden=True),
        Field("publicNetworking", hidden=True),
        Field("sshKeys", unordered=True, hidden=True),
        Field("tags", unordered=True),
        Field("userData", hidden=True, hashed=True),
        Field("vpcUuid", computed=True),
        Field("gracefulShutdown", virtual=True),
        Field("resizeDisk", virtual=True),
    )
    outputs: ClassVar[Sequence[Field]] = (
        Field("createdAt"),
        Field("disk"),
        Field("memory"),
        Field("status"),
        Field("vcpus"),
        Field("priceHourly", "size.price_hourly"),
        Field("priceMonthly", "size.price_monthly"),
    )

    def render(self, inputs: Values) -> Values:
        """Return the body that makes it; the image and keys are numbers where they look so."""
        body = super().render(inputs)
        keys = [_read_number(key) for key in inputs.get("sshKeys") or ()]
        return {**body, "image": _read_number(inputs["image"]), "ssh_keys": keys}

    def create(self, inputs: Values) -> str:
        """Create it, and wait until it runs; a read may not know it at first."""
        identity = super().create(inputs)
        self._wait_for(identity, "active")
        return identity

    def _wait_for(self, identity: str, status: str) -> None:
        wait_for(
            lambda: self.describe(identity) or {},
            lambda found: found.get("status") == status and not found.get("locked"),
        )

    def read_fields(self, found: Values) -> Values:
        """Return its properties; features are switches of their own."""
        said = {
            **found,
            "region": found["region"]["slug"],
            "size": found["size_slug"],
            **{name: name in found["features"] for name in ("backups", "ipv6", "monitoring")},
        }
        return super().read_fields(said)

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its addresses."""
        networks = {one["type"]: one["ip_address"] for one in found["networks"].get("v4", ())}
        return {
            **super().read_outputs(identity, found),
            "dropletUrn": name_thing("droplet", identity),
            "ipv4Address": networks.get("public"),
            "ipv4AddressPrivate": networks.get("private"),
            "locked": bool(found["locked"]),
        }

    def import_inputs(self, found: Values) -> Values:
        """Return what the API says; the image only here, and the launch's data never."""
        image = found["image"].get("slug") or str(found["image"]["id"])
        return {**super().import_inputs(found), "image": image}

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Replace also when IPv6 is turned off."""
        off = bool(self.state.get("ipv6")) and not news.get("ipv6")
        return [*super().find_replaced(olds, news), *(["ipv6"] if off else [])]

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change it in place, by actions and by tags."""
        del olds
        if self.differs(news, "size"):
            self._resize(identity, news)
        if self.differs(news, "name"):
            self._act(identity, type="rename", name=news["name"])
        for name, action in SWITCHES.items():
            if self.differs(news, name):
                self._act(identity, type=action if news.get(name) else f"disable_{name}")
        if self.differs(news, "tags"):
            self._retag(identity, news)

    def _resize(self, identity: str, news: Values) -> None:
        """Turn it off, change it, turn it on."""
        self._act(identity, type="power_off")
        self._wait_for(identity, "off")
        disk = bool(news.get("resizeDisk", True))
        self._act(identity, type="resize", size=news["size"], disk=disk)
        self._act(identity, type="power_on")
        self._wait_for(identity, "active")

    def _act(self, identity: str, **body: object) -> None:
        self.wire.act(f"droplets/{identity}/actions", "actions", **body)

    def _retag(self, identity: str, news: Values) -> None:
        """Take tags off that are not asked for, whoever put them there; add those that are."""
        old, new = self.state.get("tags") or [], news.get("tags") or []
        one = {"resources": [{"resource_id": identity, "resource_type": "droplet"}]}
        for tag in old:
            if tag not in new:
                self.wire.send("DELETE", f"tags/{quote(tag)}/resources", one)
        for tag in new:
            if tag not in old:
                self.wire.send("POST", "tags", {"name": tag})
                self.wire.send("POST", f"tags/{quote(tag)}/resources", one)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it to the end; that it serves is no obstacle."""
        wait_for(
            lambda: self.describe(identity) or {},
            lambda found: not found.get("locked"),
        )
        super().delete(identity, inputs)
        wait_for(lambda: self.describe(identity), lambda found: found is None)


def _read_number(value: object) -> object:
    return int(str(value)) if str(value).isdigit() else value


class Tag(Constant):
    """A word for things of the account."""

    urn_type = "digitalocean:index/tag:Tag"
    collection, root = "tags", "tag"
    computed = ("totalResourceCount", "dropletsCount")
    fields: ClassVar[Sequence[Field]] = (Field("name"),)
    outputs: ClassVar[Sequence[Field]] = (
        Field("totalResourceCount", "resources.count"),
        Field("dropletsCount", "resources.droplets.count"),
    )

    def create(self, inputs: Values) -> str:
        """Create it; one that is there is taken."""
        made = self.wire.send("POST", self.collection, self.render(inputs))[self.root]
        return str(made["name"])


class ReservedIp(Kind):
    """An address that moves from one droplet to another."""

    urn_type = "digitalocean:index/reservedIp:ReservedIp"
    longest_name = 0
    collection, root = "reserved_ips", "reserved_ip"
    computed = ("ipAddress", "reservedIpUrn")
    fields: ClassVar[Sequence[Field]] = (
        Field("region", "region.slug"),
        Field("dropletId", "droplet.id"),
    )

    def create(self, inputs: Values) -> str:
        """Reserve it in its region, then assign it."""
        body = render([Field("region")], {"region": inputs["region"]})
        identity = str(self.wire.send("POST", self.collection, body)[self.root]["ip"])
        if inputs.get("dropletId") is not None:
            self._act(identity, type="assign", droplet_id=int(inputs["dropletId"]))
        return identity

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return the address."""
        return {"ipAddress": found["ip"], "reservedIpUrn": name_thing("reservedip", identity)}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Assign it to another droplet in one action, or to none."""
        del olds
        if not self.differs(news, "dropletId"):
            return
        if news.get("dropletId") is None:
            self._act(identity, type="unassign")
        else:
            self._act(identity, type="assign", droplet_id=int(news["dropletId"]))

    def delete(self, identity: str, inputs: Values) -> None:
        """Take it from its droplet first."""
        if (self.describe(identity) or {}).get("droplet"):
            try:
                self._act(identity, type="unassign")
            except ApiError as error:
                if error.code != GONE:
                    raise
        super().delete(identity, inputs)

    def _act(self, identity: str, **body: object) -> None:
        actions = f"{self.collection}/{identity}/actions"
        self.wire.act(actions, actions, **body)


KINDS: Sequence[type[Kind]] = (Droplet, Tag, ReservedIp)
