"""The resource types of servers: who reaches them, what they are, how many there are.

The calls are those of terraform-provider-google-beta, google-beta/services/compute/resource_*.go.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import tenacity
from gcp_accounts import Account
from gcp_fields import INT64, LAST, METADATA, ONE, ZONES, Field, render
from gcp_kinds import FINGERPRINT, OWN, Constant, Kind
from shared_wire import Values

STABLE_SECONDS = 900.0
PAUSE_SECONDS = 1.0


class Firewall(Kind):
    """Who reaches whom."""

    urn_type = "gcp:compute/firewall:Firewall"
    collection = "firewalls"
    computed = ("selfLink", "creationTimestamp")
    ports = (Field("protocol", "IPProtocol"), Field("ports"))
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("network", of="global/networks"),
        Field("allows", "allowed", parts=ports, unordered=True),
        Field("denies", "denied", parts=ports, unordered=True),
        Field("destinationRanges", computed=True, unordered=True),
        Field("direction", computed=True),
        Field("disabled"),
        Field("priority", default=1000),
        Field("sourceRanges", computed=True, unordered=True),
        Field("sourceServiceAccounts", unordered=True),
        Field("sourceTags", unordered=True),
        Field("targetServiceAccounts", unordered=True),
        Field("targetTags", unordered=True),
    )
    defaults: ClassVar[Values] = {"priority": 1000}
    outputs: ClassVar[Mapping[str, str]] = {"creationTimestamp": "creationTimestamp"}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write all of it over what is there."""
        del olds
        self.wire.operate("PATCH", identity, self.render(self.plan(news)))


class InstanceTemplate(Constant):
    """What servers are launched from."""

    urn_type = "gcp:compute/instanceTemplate:InstanceTemplate"
    collection = "instanceTemplates"
    computed = ("selfLink", "selfLinkUnique", "creationTimestamp", "numericId")
    labels_at = "properties.labels"
    query: ClassVar[Mapping[str, str]] = {"view": "FULL"}
    disk = (
        Field("autoDelete"),
        Field("boot"),
        Field("deviceName", computed=True),
        Field("diskName", "initializeParams.diskName"),
        Field("diskSizeGb", "initializeParams.diskSizeGb", form=INT64, computed=True),
        Field("diskType", "initializeParams.diskType", form=LAST, computed=True),
        Field("interface", computed=True),
        Field("labels", "initializeParams.labels"),
        Field("mode", computed=True),
        Field("sourceImage", "initializeParams.sourceImage"),
        Field("type", computed=True),
    )
    card = (
        Field("accessConfigs", parts=(Field("natIp", "natIP"), Field("networkTier"))),
        Field("network", of="global/networks"),
        Field("networkIp", "networkIP"),
        Field("nicType"),
        Field("stackType", computed=True),
        Field("subnetwork", of="regions/REGION/subnetworks"),
    )
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("labels", labels_at),
        Field("canIpForward", "properties.canIpForward"),
        Field("confidentialInstanceConfig", "properties.confidentialInstanceConfig"),
        Field("disks", "properties.disks", parts=disk),
        Field("instanceDescription", "properties.description"),
        Field("machineType", "properties.machineType"),
        Field("metadata", "properties.metadata", form=METADATA),
        Field("minCpuPlatform", "properties.minCpuPlatform"),
        Field("networkInterfaces", "properties.networkInterfaces", parts=card),
        Field("reservationAffinity", "properties.reservationAffinity", computed=True),
        Field("scheduling", "properties.scheduling", computed=True),
        Field("serviceAccount", "properties.serviceAccounts", form=ONE),
        Field("shieldedInstanceConfig", "properties.shieldedInstanceConfig"),
        Field("tags", "properties.tags.items"),
        Field("advancedMachineFeatures", "properties.advancedMachineFeatures"),
    )
    outputs: ClassVar[Mapping[str, str]] = {
        "numericId": "id",
        "creationTimestamp": "creationTimestamp",
    }

    def render(self, inputs: Values) -> Values:
        """Return the body, with links to networks."""
        cards = [self.link(self.card, one) for one in inputs.get("networkInterfaces") or ()]
        return super().render({**inputs, "networkInterfaces": cards})

    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return the state, with the link that tells it from another of the same name."""
        state = super().render_state(identity, inputs, found)
        return {**state, "selfLinkUnique": f"{state['selfLink']}?uniqueId={found.get('id')}"}


class Regional(Kind):
    """A type of a region."""

    def find_folder(self, inputs: Values) -> str:
        """Return the path of the collection in its region."""
        project = inputs.get("project") or self.wire.project
        region = inputs.get("region") or self.wire.region
        return f"projects/{project}/regions/{region}/{self.collection}"

    def complete_identity(self, identity: str) -> str:
        """Return the whole id of one that a program names in short."""
        parts = identity.rpartition("projects/")[2].replace("regions/", "").split("/")
        project, region = parts[0] if len(parts) > 2 else None, parts[-3:-1][-1:]
        if len(parts) > 3:
            region = [parts[1]]
        return self.make_identity(
            {"name": parts[-1], "project": project, "region": next(iter(region), None)}
        )


class RegionInstanceGroupManager(Regional):
    """A group of instances over the zones of a region."""

    urn_type = "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"
    collection = "instanceGroupManagers"
    computed = ("selfLink", "fingerprint", "creationTimestamp", "instanceGroup", "statuses")
    outputs: ClassVar[Mapping[str, str]] = {**FINGERPRINT, "instanceGroup": "instanceGroup"}
    patched = (
        Field(
            "allInstancesConfig",
            "allInstancesConfig.properties",
            parts=(Field("metadata"), Field("labels")),
        ),
        Field("autoHealingPolicies", form=ONE),
        Field("instanceLifecyclePolicy", computed=True),
        Field("standbyPolicy", computed=True),
        Field(
            "updatePolicy",
            computed=True,
            parts=(
                Field("type"),
                Field("minimalAction"),
                Field("mostDisruptiveAllowedAction"),
                Field("instanceRedistributionType"),
                Field("replacementMethod"),
                Field("maxSurgeFixed", "maxSurge.fixed"),
                Field("maxUnavailableFixed", "maxUnavailable.fixed"),
                Field("minReadySec"),
            ),
        ),
        Field("versions", parts=(Field("instanceTemplate"), Field("name"), Field("targetSize"))),
    )
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        *patched,
        Field("region", computed=True, form=LAST),
        Field("baseInstanceName"),
        Field(
            "distributionPolicyZones",
            "distributionPolicy.zones",
            computed=True,
            form=ZONES,
            unordered=True,
        ),
        Field("distributionPolicyTargetShape", "distributionPolicy.targetShape", computed=True),
        Field("listManagedInstancesResults", default="PAGELESS"),
        Field("namedPorts", unordered=True),
        Field("targetSize", computed=True),
        Field("waitForInstances", virtual=True),
        Field("waitForInstancesStatus", virtual=True),
    )
    defaults: ClassVar[Values] = {
        "listManagedInstancesResults": "PAGELESS",
        "waitForInstances": False,
        "waitForInstancesStatus": "STABLE",
    }

    def create(self, inputs: Values) -> str:
        """Create it, and wait for its instances where that is asked for."""
        identity = super().create(inputs)
        self._wait_for_instances(identity, inputs)
        return identity

    def render(self, inputs: Values) -> Values:
        """Return the body; the region is in the path."""
        return super().render({**inputs, "region": None})

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write what differs, then its ports, then its size."""
        del olds
        changes = [field for field in self.patched if self.differs(news, field.name)]
        if changes:
            wishes = {field.name: news.get(field.name) for field in changes}
            body = {**render(changes, wishes), "fingerprint": self.state.get("fingerprint")}
            self.wire.operate("PATCH", identity, body)
        if self.differs(news, "namedPorts"):
            path = identity.replace("/instanceGroupManagers/", "/instanceGroups/")
            body = {"namedPorts": news.get("namedPorts") or []}
            self.wire.operate("POST", f"{path}/setNamedPorts", body)
        if self.differs(news, "targetSize"):
            self.wire.operate("POST", f"{identity}/resize", size=str(news["targetSize"]))
        self._wait_for_instances(identity, news)

    def _wait_for_instances(self, identity: str, inputs: Values) -> None:
        if not inputs.get("waitForInstances"):
            return
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_result(
                lambda found: not (found.get("status") or {}).get("isStable")
            ),
            wait=tenacity.wait_fixed(PAUSE_SECONDS),
            stop=tenacity.stop_after_delay(STABLE_SECONDS),
        )
        attempts(self.wire.send, "GET", identity)


class RegionAutoscaler(Regional):
    """How a group scales by itself."""

    urn_type = "gcp:compute/regionAutoscaler:RegionAutoscaler"
    collection = "autoscalers"
    computed = ("selfLink", "creationTimestamp")
    outputs: ClassVar[Mapping[str, str]] = {"creationTimestamp": "creationTimestamp"}
    fields: ClassVar[Sequence[Field]] = (
        *OWN,
        Field("region", computed=True, form=LAST),
        Field("target"),
        Field(
            "autoscalingPolicy",
            parts=(
                Field("minReplicas", "minNumReplicas"),
                Field("maxReplicas", "maxNumReplicas"),
                Field("cooldownPeriod", "coolDownPeriodSec"),
                Field("mode"),
                Field(
                    "cpuUtilization",
                    parts=(Field("target", "utilizationTarget"), Field("predictiveMethod")),
                ),
            ),
        ),
    )

    def render(self, inputs: Values) -> Values:
        """Return the body; the region is in the path."""
        return super().render({**inputs, "region": None})

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Write it; the name is in the query."""
        del olds
        folder, _, name = identity.rpartition("/")
        self.wire.operate("PUT", folder, self.render(self.plan(news)), autoscaler=name)


KINDS: Sequence[type[Kind]] = (
    Firewall,
    InstanceTemplate,
    RegionInstanceGroupManager,
    RegionAutoscaler,
    Account,
)
