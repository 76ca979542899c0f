"""Load balancers and firewalls."""

from collections.abc import Sequence
from typing import ClassVar

from do_fields import Field
from do_kinds import Kind, Written, name_thing
from do_wire import wait_for
from shared_wire import Values

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


KINDS: Sequence[type[Kind]] = (LoadBalancer, Firewall)
