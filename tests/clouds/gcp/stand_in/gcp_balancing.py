"""The resource types of the balancer: from an address to what answers at it.

The calls are those of terraform-provider-google-beta, google-beta/services/compute/resource_*.go.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gcp_fields import ONE, Field
from gcp_kinds import FINGERPRINT, LABELS, OWN, Constant, Kind, Labelled, Written
from shared_wire import Values


class GlobalAddress(Labelled):
    """An address that is kept apart from what answers at it."""

    urn_type = "gcp:compute/globalAddress:GlobalAddress"
    collection = "addresses"
    computed = ("address", "selfLink", "creationTimestamp", "labelFingerprint")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        LABELS,
        Field("address", computed=True),
        Field("addressType", default="EXTERNAL"),
        Field("ipVersion", default="IPV4"),
        Field("prefixLength", computed=True),
    )
    defaults: ClassVar[Values] = {"addressType": "EXTERNAL"}
    outputs: ClassVar[Mapping[str, str]] = {"creationTimestamp": "creationTimestamp"}

    def render(self, inputs: Values) -> Values:
        """Return the body; a global external address is always of this tier."""
        return {**super().render(inputs), "networkTier": "PREMIUM"}


class GlobalForwardingRule(Labelled):
    """What leads from an address and a port to a proxy."""

    urn_type = "gcp:compute/globalForwardingRule:GlobalForwardingRule"
    collection = "forwardingRules"
    computed = ("selfLink", "labelFingerprint", "forwardingRuleId")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        LABELS,
        Field("target"),
        Field("ipAddress", "IPAddress", computed=True),
        Field("ipProtocol", "IPProtocol", computed=True),
        Field("portRange"),
        Field("loadBalancingScheme", default="EXTERNAL_MANAGED"),
        Field("networkTier", computed=True),
        Field("ipVersion"),
    )
    defaults: ClassVar[Values] = {"loadBalancingScheme": "EXTERNAL_MANAGED"}
    outputs: ClassVar[Mapping[str, str]] = {"forwardingRuleId": "id"}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Set labels and target."""
        super().update(identity, olds, news)
        if self.differs(news, "target"):
            self.wire.operate("POST", f"{identity}/setTarget", {"target": news["target"]})

    def find_changed(self, olds: Values, news: Values) -> list[str]:
        """Compare; one port and a range of it alone are the same."""
        changed = super().find_changed(olds, news)
        ports = [str(of.get("portRange")).partition("-")[0] for of in (self.state, news)]
        return [name for name in changed if name != "portRange" or ports[0] != ports[1]]


class BackendService(Written):
    """What the balancer sends requests to."""

    urn_type = "gcp:compute/backendService:BackendService"
    collection = "backendServices"
    computed = ("selfLink", "fingerprint", "creationTimestamp", "generatedId")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("affinityCookieTtlSec"),
        Field(
            "backends",
            parts=(
                Field("group"),
                Field("balancingMode"),
                Field("capacityScaler"),
                Field("description"),
                Field("maxRatePerInstance"),
                Field("maxUtilization"),
                Field("preference"),
            ),
            unordered=True,
        ),
        Field("compressionMode"),
        Field("connectionDrainingTimeoutSec", "connectionDraining.drainingTimeoutSec", default=300),
        Field("customRequestHeaders", unordered=True),
        Field("customResponseHeaders", unordered=True),
        Field("enableCdn", "enableCDN"),
        Field("healthChecks", form=ONE),
        Field("loadBalancingScheme", default="EXTERNAL_MANAGED"),
        Field("localityLbPolicy", computed=True),
        Field("logConfig", computed=True),
        Field("portName", computed=True),
        Field("protocol", computed=True),
        Field("securityPolicy", of="global/securityPolicies"),
        Field("sessionAffinity", computed=True),
        Field("timeoutSec", computed=True),
    )
    defaults: ClassVar[Values] = {
        "connectionDrainingTimeoutSec": 300,
        "loadBalancingScheme": "EXTERNAL_MANAGED",
    }
    outputs: ClassVar[Mapping[str, str]] = {**FINGERPRINT, "generatedId": "id"}

    def render(self, inputs: Values) -> Values:
        """Return the body; the policy has a call of its own."""
        backends = [
            {"balancingMode": "UTILIZATION", "capacityScaler": 1, **one}
            for one in inputs.get("backends") or ()
        ]
        filled = {**inputs, "securityPolicy": None, **({"backends": backends} if backends else {})}
        return super().render(filled)

    def create(self, inputs: Values) -> str:
        """Create it, then set its policy."""
        identity = super().create(inputs)
        if inputs.get("securityPolicy"):
            self._set_policy(identity, inputs)
        return identity

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write it, then its policy."""
        super().update(identity, olds, news)
        if self.differs(news, "securityPolicy"):
            self._set_policy(identity, news)

    def _set_policy(self, identity: str, inputs: Values) -> None:
        linked = self.link(self.fields, inputs)
        body = {"securityPolicy": linked.get("securityPolicy")}
        self.wire.operate("POST", f"{identity}/setSecurityPolicy", body)


class HealthCheck(Written):
    """What the balancer and a group ask of a server."""

    urn_type = "gcp:compute/healthCheck:HealthCheck"
    collection = "healthChecks"
    computed = ("selfLink", "creationTimestamp", "type")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("checkIntervalSec", default=5),
        Field("timeoutSec", default=5),
        Field("healthyThreshold", default=2),
        Field("unhealthyThreshold", default=2),
        Field("httpHealthCheck"),
        Field("logConfig", computed=True),
    )
    defaults: ClassVar[Values] = {
        "checkIntervalSec": 5,
        "timeoutSec": 5,
        "healthyThreshold": 2,
        "unhealthyThreshold": 2,
    }
    outputs: ClassVar[Mapping[str, str]] = {
        "type": "type",
        "creationTimestamp": "creationTimestamp",
    }

    def render(self, inputs: Values) -> Values:
        """Return the body; the kind of check is told by what it has."""
        return {**super().render(inputs), "type": "HTTP"}


class UrlMap(Written):
    """Where requests go, by host, path and header."""

    urn_type = "gcp:compute/uRLMap:URLMap"
    collection = "urlMaps"
    computed = ("selfLink", "fingerprint", "creationTimestamp", "mapId")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("defaultService"),
        Field("defaultRouteAction"),
        Field("defaultUrlRedirect"),
        Field("headerAction"),
        Field("hostRules", unordered=True),
        Field("pathMatchers"),
        Field("tests"),
    )
    outputs: ClassVar[Mapping[str, str]] = {**FINGERPRINT, "mapId": "id"}


class Proxy(Kind):
    """What ends a connection, and asks a map where the request goes."""

    computed = ("selfLink", "fingerprint", "creationTimestamp", "proxyId")
    outputs: ClassVar[Mapping[str, str]] = {**FINGERPRINT, "proxyId": "id"}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Set another map: by a path without `global`, as upstream's is."""
        del olds
        if self.differs(news, "urlMap"):
            path = identity.replace("/global/", "/")
            self.wire.operate("POST", f"{path}/setUrlMap", {"urlMap": news["urlMap"]})


class TargetHttpProxy(Proxy):
    """One for HTTP."""

    urn_type = "gcp:compute/targetHttpProxy:TargetHttpProxy"
    collection = "targetHttpProxies"
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("urlMap"),
        Field("httpKeepAliveTimeoutSec"),
        Field("proxyBind", computed=True),
    )


class TargetHttpsProxy(Proxy):
    """One for HTTPS."""

    urn_type = "gcp:compute/targetHttpsProxy:TargetHttpsProxy"
    collection = "targetHttpsProxies"
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("urlMap"),
        Field("sslCertificates", of="global/sslCertificates"),
        Field("sslPolicy", of="global/sslPolicies"),
        Field("httpKeepAliveTimeoutSec"),
        Field("proxyBind", computed=True),
        Field("quicOverride", default="NONE"),
        Field("tlsEarlyData", computed=True),
    )
    defaults: ClassVar[Values] = {"quicOverride": "NONE"}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Set map and certificates."""
        super().update(identity, olds, news)
        if self.differs(news, "sslCertificates"):
            path = identity.replace("/global/", "/")
            body = {"sslCertificates": self.link(self.fields, news)["sslCertificates"]}
            self.wire.operate("POST", f"{path}/setSslCertificates", body)


class SslPolicy(Kind):
    """Which TLS a proxy speaks."""

    urn_type = "gcp:compute/sSLPolicy:SSLPolicy"
    collection = "sslPolicies"
    computed = ("selfLink", "fingerprint", "creationTimestamp", "enabledFeatures")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("customFeatures", unordered=True),
        Field("minTlsVersion", default="TLS_1_0"),
        Field("profile", default="COMPATIBLE"),
    )
    defaults: ClassVar[Values] = {"minTlsVersion": "TLS_1_0", "profile": "COMPATIBLE"}
    outputs: ClassVar[Mapping[str, str]] = {**FINGERPRINT, "enabledFeatures": "enabledFeatures"}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write it over what is there."""
        del olds
        body = {**self.render(self.plan(news)), "fingerprint": self.state.get("fingerprint")}
        self.wire.operate("PATCH", identity, body)


class ManagedSslCertificate(Constant):
    """A certificate that Google makes; nobody waits until it is active."""

    urn_type = "gcp:compute/managedSslCertificate:ManagedSslCertificate"
    collection = "sslCertificates"
    computed = ("selfLink", "creationTimestamp", "certificateId", "expireTime")
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("managed", parts=(Field("domains"),)),
        Field("type", default="MANAGED"),
    )
    defaults: ClassVar[Values] = {"type": "MANAGED"}
    outputs: ClassVar[Mapping[str, str]] = {
        "certificateId": "id",
        "creationTimestamp": "creationTimestamp",
    }


KINDS: Sequence[type[Kind]] = (
    GlobalAddress,
    GlobalForwardingRule,
    BackendService,
    HealthCheck,
    UrlMap,
    TargetHttpProxy,
    TargetHttpsProxy,
    SslPolicy,
    ManagedSslCertificate,
)
