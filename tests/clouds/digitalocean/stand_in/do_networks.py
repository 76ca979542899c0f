"""Load balancers, firewalls, networks and certificates."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import tenacity
from do_fields import Field
from do_kinds import Constant, Kind, Written, name_thing
from do_wire import POLL_SECONDS, WAIT_SECONDS, ApiError, wait_for
from shared_wire import Values

IN_USE = (403, 409)
ALL_PORTS = "0"

RULE = (
    Field("entryProtocol"),
    Field("entryPort"),
    Field("targetProtocol"),
    Field("targetPort"),
    Field("certificateName", "certificate_id", computed=True),
    Field("tlsPassthrough", default=False),
)
CHECK = (
    Field("protocol"),
    Field("port"),
    Field("path"),
    Field("checkIntervalSeconds", default=10),
    Field("responseTimeoutSeconds", default=5),
    Field("unhealthyThreshold", default=5),
    Field("healthyThreshold", default=3),
)
STICKY = (Field("type", default="none"), Field("cookieName"), Field("cookieTtlSeconds"))
WALL = (Field("allows", "allow"), Field("denies", "deny"))


class LoadBalancer(Written):
    """A balancer with one pool, of named droplets or of those with a tag."""

    urn_type = "digitalocean:index/loadBalancer:LoadBalancer"
    collection, root = "load_balancers", "load_balancer"
    computed = ("ip", "ipv6", "loadBalancerUrn", "status", "vpcUuid", "dropletIds")
    defaults: ClassVar[Values] = {
        "algorithm": "round_robin",
        "disableLetsEncryptDnsRecords": False,
        "enableBackendKeepalive": False,
        "enableProxyProtocol": False,
        "redirectHttpToHttps": False,
    }
    fields: ClassVar[Sequence[Field]] = (
        Field("name"),
        Field("region", computed=True),
        Field("algorithm", default="round_robin"),
        Field("dropletIds", computed=True, unordered=True),
        Field("dropletTag", "tag"),
        Field("forwardingRules", parts=RULE, unordered=True),
        Field("healthcheck", "health_check", computed=True, parts=CHECK),
        Field("stickySessions", computed=True, parts=STICKY),
        Field("firewall", computed=True, parts=WALL),
        Field("disableLetsEncryptDnsRecords", default=False),
        Field("enableBackendKeepalive", default=False),
        Field("enableProxyProtocol", default=False),
        Field("redirectHttpToHttps", default=False),
        Field("httpIdleTimeoutSeconds", computed=True),
        Field("sizeUnit", computed=True),
        Field("network", computed=True),
        Field("networkStack", computed=True),
        Field("tlsCipherPolicy", computed=True),
        Field("type", computed=True),
        Field("projectId", computed=True),
        Field("vpcUuid", computed=True),
    )
    outputs: ClassVar[Sequence[Field]] = (Field("ip"), Field("ipv6"), Field("status"))

    def render(self, inputs: Values) -> Values:
        """Return the body: a tag or droplets, never both, and certificates by their ids."""
        body = super().render(inputs)
        if body.get("tag"):
            body.pop("droplet_ids", None)
        for rule in body.get("forwarding_rules", ()):
            if name := rule.get("certificate_id"):
                rule["certificate_id"] = find_certificate(self, name)["id"]
        return body

    def describe(self, identity: str) -> Values | None:
        """Return what the API says, with names of certificates."""
        found = super().describe(identity)
        for rule in (found or {}).get("forwarding_rules", ()):
            if known := rule.get("certificate_id"):
                answer = self.wire.send("GET", f"certificates/{known}")
                rule["certificate_id"] = answer["certificate"]["name"]
        return found

    def read_fields(self, found: Values) -> Values:
        """Return its properties; its region is a thing."""
        region = (found.get("region") or {}).get("slug")
        return super().read_fields({**found, "region": region})

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its addresses."""
        own = {"loadBalancerUrn": name_thing("loadbalancer", identity)}
        return {**super().read_outputs(identity, found), **own}

    def create(self, inputs: Values) -> str:
        """Create it, and wait until it is active; an update is not waited for."""
        identity = super().create(inputs)
        wait_for(
            lambda: self.describe(identity) or {}, lambda found: found.get("status") == "active"
        )
        return identity


def _list_targets(side: str) -> tuple[Field, ...]:
    """Return what a rule of a firewall speaks of: `source` or `destination`."""
    at = "sources" if side == "source" else "destinations"
    return (
        Field("protocol"),
        Field("portRange", "ports"),
        Field(f"{side}Addresses", f"{at}.addresses", unordered=True),
        Field(f"{side}DropletIds", f"{at}.droplet_ids", unordered=True),
        Field(f"{side}LoadBalancerUids", f"{at}.load_balancer_uids", unordered=True),
        Field(f"{side}Tags", f"{at}.tags", unordered=True),
    )


class Firewall(Written):
    """What may come to droplets, by their tags, and go from them."""

    urn_type = "digitalocean:index/firewall:Firewall"
    collection, root = "firewalls", "firewall"
    computed = ("createdAt", "pendingChanges", "status")
    fields: ClassVar[Sequence[Field]] = (
        Field("name"),
        Field("dropletIds", unordered=True),
        Field("tags", unordered=True),
        Field("inboundRules", parts=_list_targets("source"), unordered=True),
        Field("outboundRules", parts=_list_targets("destination"), unordered=True),
    )
    outputs: ClassVar[Sequence[Field]] = (Field("createdAt"), Field("status"))

    def render(self, inputs: Values) -> Values:
        """Return the body; godo leaves nothing out, and has a null where there is nothing."""
        empty = {field.place: None for field in self.fields}
        body = {**empty, **super().render(inputs)}
        for rules, peers in (("inbound_rules", "sources"), ("outbound_rules", "destinations")):
            for rule in body[rules] or ():
                rule.setdefault(peers, {})
        return body

    def read_fields(self, found: Values) -> Values:
        """Return its properties; the API says 0 where all ports are meant."""
        rules = {
            name: [{**rule, "ports": _read_ports(rule)} for rule in found.get(name) or ()]
            for name in ("inbound_rules", "outbound_rules")
        }
        return super().read_fields({**found, **rules})


def _read_ports(rule: Values) -> str:
    ports = str(rule.get("ports", ""))
    if ports != ALL_PORTS:
        return ports
    return "" if rule["protocol"] == "icmp" else "all"


class Vpc(Kind):
    """A private network."""

    urn_type = "digitalocean:index/vpc:Vpc"
    collection, root = "vpcs", "vpc"
    computed = ("vpcUrn", "default", "createdAt", "ipRange")
    fields: ClassVar[Sequence[Field]] = (
        Field("name"),
        Field("region"),
        Field("description"),
        Field("ipRange", computed=True),
    )
    outputs: ClassVar[Sequence[Field]] = (
        Field("createdAt"),
        Field("default"),
        Field("vpcUrn", "urn"),
    )

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write its name and description; which network is the default stays."""
        del olds
        body = {
            "name": news["name"],
            "description": news.get("description", ""),
            "default": bool(self.state.get("default", False)),
        }
        self.wire.send("PUT", f"{self.collection}/{identity}", body)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it, again while members leave it."""
        delete_once_free(super().delete, identity, inputs)


class Certificate(Constant):
    """A certificate; its id is its name, since a renewal changes the API's own."""

    urn_type = "digitalocean:index/certificate:Certificate"
    collection, root = "certificates", "certificate"
    computed = ("uuid", "state", "notAfter", "sha1Fingerprint")
    defaults: ClassVar[Values] = {"type": "custom"}
    fields: ClassVar[Sequence[Field]] = (
        Field("name"),
        Field("type", default="custom"),
        Field("domains", "dns_names", computed=True, unordered=True),
        Field("privateKey", hidden=True, hashed=True),
        Field("leafCertificate", hidden=True, hashed=True),
        Field("certificateChain", hidden=True, hashed=True),
    )
    outputs: ClassVar[Sequence[Field]] = (
        Field("uuid", "id"),
        Field("state"),
        Field("notAfter"),
        Field("sha1Fingerprint"),
    )

    def describe(self, identity: str) -> Values | None:
        """Return the one of this name."""
        found = self.wire.find_all(self.collection)
        return next((one for one in found if one["name"] == identity), None)

    def create(self, inputs: Values) -> str:
        """Create it, and wait until it is verified."""
        super().create(inputs)
        name = str(inputs["name"])
        wait_for(lambda: self.describe(name) or {}, lambda one: one.get("state") == "verified")
        return name

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it, again while a balancer uses it."""
        if found := self.describe(identity):
            delete_once_free(super().delete, str(found["id"]), inputs)


def find_certificate(kind: Kind, name: str) -> Values:
    """Return a certificate by its name.

    Raises:
        LookupError: There is none.
    """
    for found in kind.wire.find_all("certificates"):
        if found["name"] == name:
            return found
    message = f"no certificate is named {name}"
    raise LookupError(message)


def delete_once_free(delete: Callable[[str, Values], None], identity: str, inputs: Values) -> None:
    """Delete what the API refuses to delete while it is in use."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, ApiError) and error.code in IN_USE
        ),
        wait=tenacity.wait_fixed(POLL_SECONDS),
        stop=tenacity.stop_after_delay(WAIT_SECONDS),
        reraise=True,
    )
    attempts(delete, identity, inputs)


KINDS: Sequence[type[Kind]] = (LoadBalancer, Firewall, Vpc, Certificate)
