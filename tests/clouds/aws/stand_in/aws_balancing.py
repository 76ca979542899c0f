"""Load balancers, listeners, target groups and listener rules."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aws_kinds import Kind, compare_tags, delete_unless_gone, get_one, read_code
from aws_wire import Names, render, render_tags, unrender
from botocore.exceptions import ClientError
from shared_wire import Values

ACTIONS: Names = {
    "ForwardConfig": "forward",
    "RedirectConfig": "redirect",
    "FixedResponseConfig": "fixedResponse",
    "TargetGroupTuple.TargetGroupArn": "arn",
    "TargetGroupStickinessConfig": "stickiness",
    "DurationSeconds": "duration",
}
CONDITIONS: Mapping[str, tuple[str, str]] = {
    "hostHeader": ("host-header", "HostHeaderConfig"),
    "httpHeader": ("http-header", "HttpHeaderConfig"),
    "httpRequestMethod": ("http-request-method", "HttpRequestMethodConfig"),
    "pathPattern": ("path-pattern", "PathPatternConfig"),
    "queryStrings": ("query-string", "QueryStringConfig"),
    "sourceIp": ("source-ip", "SourceIpConfig"),
}
"""Pulumi's name of a condition, the API's field, and where the API holds its values."""
LOAD_BALANCER_ATTRIBUTES: Mapping[str, str] = {
    "clientKeepAlive": "client_keep_alive.seconds",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
    "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
}
TARGET_GROUP_ATTRIBUTES: Mapping[str, str] = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
    "slowStart": "slow_start.duration_seconds",
}
HEALTH_CHECK: Mapping[str, str] = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


class BalancingKind(Kind):
    """A type of the load balancing API; its id is its ARN."""

    @property
    def elb(self) -> Any:  # noqa: ANN401 - the SDK's client
        """The client."""
        return self.clients("elbv2")

    def render_tags(self, inputs: Values) -> Values:
        """Return the argument that tags at creation."""
        return {"Tags": render_tags(inputs["tags"])} if inputs.get("tags") else {}

    def update_tags(self, identity: str, olds: Values, news: Values) -> None:
        """Write and remove tags."""
        written, removed = compare_tags(olds, news)
        if written:
            self.elb.add_tags(ResourceArns=[identity], Tags=render_tags(written))
        if removed:
            self.elb.remove_tags(ResourceArns=[identity], TagKeys=removed)

    def read_tags(self, identity: str) -> list[dict[str, str]]:
        """Return its tags as the API has them."""
        found = self.elb.describe_tags(ResourceArns=[identity])
        tags: list[dict[str, str]] = found["TagDescriptions"][0]["Tags"]
        return tags

    def refuse_existing(self, call: Any, key: str, gone: str, name: str) -> None:  # noqa: ANN401
        """Raise when the name is taken: the official plugin looks before it creates."""
        if get_one(call, key, gone, Names=[name]):
            message = f"ELBv2 {key} ({name}) already exists"
            raise ValueError(message)


def read_attributes(table: Mapping[str, str], found: Sequence[Mapping[str, str]]) -> Values:
    """Return the inputs that attributes say; words of truth and numbers as such."""
    words: Mapping[str, Any] = {"true": True, "false": False}
    said = {attribute["Key"]: attribute["Value"] for attribute in found}
    return {
        name: words.get(said[key], int(said[key]) if said[key].isdigit() else said[key])
        for name, key in table.items()
        if key in said
    }


def render_attributes(table: Mapping[str, str], inputs: Values) -> list[dict[str, str]]:
    """Return the attributes that the inputs set."""
    return [
        {"Key": key, "Value": str(inputs[name]).lower()}
        for name, key in table.items()
        if inputs.get(name) is not None
    ]


class LoadBalancer(BalancingKind):
    """A load balancer."""

    urn_type = "aws:lb/loadBalancer:LoadBalancer"
    operation = ("elbv2", "CreateLoadBalancer")
    computed = ("arn", "arnSuffix", "dnsName", "vpcId", "zoneId")
    settings = ("internal", "namePrefix", *LOAD_BALANCER_ATTRIBUTES, "region")
    names: ClassVar[Names] = {"Type": "loadBalancerType"}
    defaults: ClassVar[Values] = {"loadBalancerType": "application"}
    longest_name = 32

    def create(self, inputs: Values) -> str:
        """Create it and set its attributes."""
        self.refuse_existing(
            self.elb.describe_load_balancers,
            "LoadBalancers",
            "LoadBalancerNotFound",
            inputs["name"],
        )
        made = self.elb.create_load_balancer(
            **self.render(inputs),
            Scheme="internal" if inputs.get("internal") else "internet-facing",
        )
        identity = str(made["LoadBalancers"][0]["LoadBalancerArn"])
        self._write_attributes(identity, inputs)
        return identity

    def _write_attributes(self, identity: str, inputs: Values) -> None:
        attributes = render_attributes(LOAD_BALANCER_ATTRIBUTES, inputs)
        if attributes:
            self.elb.modify_load_balancer_attributes(
                LoadBalancerArn=identity, Attributes=attributes
            )

    def describe(self, identity: str) -> Values | None:
        """Return the balancer."""
        found = get_one(
            self.elb.describe_load_balancers,
            "LoadBalancers",
            "LoadBalancerNotFound",
            LoadBalancerArns=[identity],
        )
        if found is None:
            return None
        zones = [zone["SubnetId"] for zone in found["AvailabilityZones"]]
        name = found["LoadBalancerName"]
        return {**found, "Name": name, "Subnets": zones, "Tags": self.read_tags(identity)}

    def import_inputs(self, found: Values) -> Values:
        """Return the balancer with its attributes."""
        attributes = self.elb.describe_load_balancer_attributes(
            LoadBalancerArn=found["LoadBalancerArn"]
        )["Attributes"]
        return {
            **super().import_inputs(found),
            **read_attributes(LOAD_BALANCER_ATTRIBUTES, attributes),
            "internal": found["Scheme"] == "internal",
        }

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return where it answers."""
        return {
            "arn": identity,
            "arnSuffix": identity.partition(":loadbalancer/")[2],
            "dnsName": found["DNSName"],
            "vpcId": found["VpcId"],
            "zoneId": found["CanonicalHostedZoneId"],
        }

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change attributes, subnets, groups and tags."""
        self._write_attributes(identity, news)
        if olds.get("subnets") != news.get("subnets"):
            self.elb.set_subnets(LoadBalancerArn=identity, Subnets=news["subnets"])
        if olds.get("securityGroups") != news.get("securityGroups"):
            self.elb.set_security_groups(
                LoadBalancerArn=identity, SecurityGroups=news["securityGroups"]
            )
        if olds.get("ipAddressType") != news.get("ipAddressType"):
            self.elb.set_ip_address_type(
                LoadBalancerArn=identity, IpAddressType=news["ipAddressType"]
            )
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it with its listeners."""
        del inputs
        gone = ("LoadBalancerNotFound",)
        delete_unless_gone(self.elb.delete_load_balancer, gone, LoadBalancerArn=identity)


class TargetGroup(BalancingKind):
    """A target group."""

    urn_type = "aws:lb/targetGroup:TargetGroup"
    operation = ("elbv2", "CreateTargetGroup")
    computed = ("arn", "arnSuffix", "loadBalancerArns")
    settings = ("healthCheck", "namePrefix", *TARGET_GROUP_ATTRIBUTES, "region")
    defaults: ClassVar[Values] = {"targetType": "instance"}
    longest_name = 32

    def create(self, inputs: Values) -> str:
        """Create it and set its attributes."""
        self.refuse_existing(
            self.elb.describe_target_groups, "TargetGroups", "TargetGroupNotFound", inputs["name"]
        )
        made = self.elb.create_target_group(
            **self.render(inputs), **self._render_health_check(inputs)
        )
        identity = str(made["TargetGroups"][0]["TargetGroupArn"])
        self._write_attributes(identity, inputs)
        return identity

    def _render_health_check(self, inputs: Values) -> Values:
        check = inputs.get("healthCheck") or {}
        said = {HEALTH_CHECK[name]: value for name, value in check.items() if name in HEALTH_CHECK}
        flat = {name[0].lower() + name[1:]: value for name, value in said.items()}
        matcher = {"Matcher": {"HttpCode": check["matcher"]}} if "matcher" in check else {}
        return {**render(self.shape, flat, {}), **matcher}

    def _write_attributes(self, identity: str, inputs: Values) -> None:
        attributes = render_attributes(TARGET_GROUP_ATTRIBUTES, inputs)
        if attributes:
            self.elb.modify_target_group_attributes(TargetGroupArn=identity, Attributes=attributes)

    def describe(self, identity: str) -> Values | None:
        """Return the group."""
        found = get_one(
            self.elb.describe_target_groups,
            "TargetGroups",
            "TargetGroupNotFound",
            TargetGroupArns=[identity],
        )
        if found is None:
            return None
        return {**found, "Name": found["TargetGroupName"], "Tags": self.read_tags(identity)}

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs with the health check as it is."""
        fresh = super().refresh_inputs(inputs, found)
        if "healthCheck" in inputs:
            now = {name: found.get(key) for name, key in HEALTH_CHECK.items()}
            now["matcher"] = found.get("Matcher", {}).get("HttpCode")
            fresh["healthCheck"] = {
                name: old if str(now.get(name, old)) == str(old) else now[name]
                for name, old in inputs["healthCheck"].items()
            }
        return fresh

    def import_inputs(self, found: Values) -> Values:
        """Return the group with its health check and attributes."""
        attributes = self.elb.describe_target_group_attributes(
            TargetGroupArn=found["TargetGroupArn"]
        )["Attributes"]
        imported = super().import_inputs(found)
        flat = {key[0].lower() + key[1:] for key in HEALTH_CHECK.values()}
        check = {name: found[key] for name, key in HEALTH_CHECK.items() if key in found}
        return {
            **{k: v for k, v in imported.items() if k not in flat and k != "matcher"},
            **read_attributes(TARGET_GROUP_ATTRIBUTES, attributes),
            "healthCheck": {**check, "matcher": found.get("Matcher", {}).get("HttpCode")},
        }

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its names and who uses it."""
        return {
            "arn": identity,
            "arnSuffix": "targetgroup/" + identity.partition(":targetgroup/")[2],
            "loadBalancerArns": found.get("LoadBalancerArns", []),
        }

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change health check, attributes and tags."""
        if olds.get("healthCheck") != news.get("healthCheck"):
            check = self._render_health_check(news)
            self.elb.modify_target_group(TargetGroupArn=identity, **check)
        self._write_attributes(identity, news)
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it, once no listener uses it."""
        del inputs
        gone, in_use = ("TargetGroupNotFound",), ("ResourceInUse",)
        delete_unless_gone(self.elb.delete_target_group, gone, in_use, TargetGroupArn=identity)


class Listener(BalancingKind):
    """A listener; its default action is where traffic goes."""

    urn_type = "aws:lb/listener:Listener"
    operation = ("elbv2", "CreateListener")
    computed = ("arn",)
    settings = ("certificateArn", "region")
    names: ClassVar[Names] = ACTIONS
    defaults: ClassVar[Values] = {"protocol": "HTTP"}

    def _render_certificates(self, inputs: Values) -> Values:
        arn = inputs.get("certificateArn")
        return {"Certificates": [{"CertificateArn": arn}]} if arn else {}

    def create(self, inputs: Values) -> str:
        """Create it."""
        made = self.elb.create_listener(**self.render(inputs), **self._render_certificates(inputs))
        return str(made["Listeners"][0]["ListenerArn"])

    def describe(self, identity: str) -> Values | None:
        """Return the listener."""
        found = get_one(
            self.elb.describe_listeners, "Listeners", "ListenerNotFound", ListenerArns=[identity]
        )
        return {**found, "Tags": self.read_tags(identity)} if found else None

    def import_inputs(self, found: Values) -> Values:
        """Return the listener, its first certificate by its own name."""
        imported = super().import_inputs(found)
        for certificate in imported.pop("certificates", [])[:1]:
            imported["certificateArn"] = certificate["certificateArn"]
        return imported

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its ARN."""
        del found
        return {"arn": identity}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change it as the official plugin does: all of it, but the default action if it differs.

        https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/elbv2/
        listener.go (resourceListenerUpdate)
        """
        moved = ("DefaultActions",) if olds["defaultActions"] != news["defaultActions"] else ()
        changed = ("Port", "Protocol", "SslPolicy", "AlpnPolicy", *moved)
        self.elb.modify_listener(
            ListenerArn=identity,
            **self.render(news, *changed),
            **self._render_certificates(news),
        )
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it with its rules."""
        del inputs
        delete_unless_gone(self.elb.delete_listener, ("ListenerNotFound",), ListenerArn=identity)


class ListenerRule(BalancingKind):
    """A rule that comes before the listener's default action."""

    urn_type = "aws:lb/listenerRule:ListenerRule"
    operation = ("elbv2", "CreateRule")
    computed = ("arn",)
    settings = ("region",)
    names: ClassVar[Names] = ACTIONS

    def create(self, inputs: Values) -> str:
        """Create it, after all others where no priority is said."""
        made = self.elb.create_rule(
            **self.render(inputs, "ListenerArn", "Actions", "Tags"),
            Priority=inputs.get("priority") or self._find_priority(inputs["listenerArn"]),
            Conditions=self._render_conditions(inputs),
        )
        return str(made["Rules"][0]["RuleArn"])

    def _find_priority(self, listener: str) -> int:
        pages = self.elb.get_paginator("describe_rules").paginate(ListenerArn=listener)
        rules = [rule for page in pages for rule in page["Rules"]]
        taken = [int(rule["Priority"]) for rule in rules if rule["Priority"] != "default"]
        return max(taken, default=0) + 1

    def _render_conditions(self, inputs: Values) -> list[Values]:
        shape = self.shape.members["Conditions"].member
        rendered = []
        for condition in inputs["conditions"]:
            for name, said in condition.items():
                field, holder = CONDITIONS[name]
                values = {"values": said} if isinstance(said, list) else said
                config = render(shape.members[holder], values, {})
                rendered.append({"Field": field, holder: config})
        return rendered

    def describe(self, identity: str) -> Values | None:
        """Return the rule."""
        found = get_one(
            self.elb.describe_rules,
            "Rules",
            "RuleNotFound",
            "ListenerNotFound",
            RuleArns=[identity],
        )
        if found is None:
            return None
        listener = identity.replace(":listener-rule/", ":listener/").rpartition("/")[0]
        return {**found, "ListenerArn": listener, "Tags": self.read_tags(identity)}

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs with the conditions as they are, when they changed."""
        fresh = super().refresh_inputs({**inputs, "conditions": None}, found)
        same = self._render_conditions(inputs) == [
            {key: value for key, value in condition.items() if key in ("Field", *_HOLDERS)}
            for condition in found["Conditions"]
        ]
        return {**fresh, "conditions": inputs["conditions"] if same else []}

    def import_inputs(self, found: Values) -> Values:
        """Return the rule with its conditions in Pulumi's words."""
        by_field = {field: (name, holder) for name, (field, holder) in CONDITIONS.items()}
        shape = self.shape.members["Conditions"].member
        conditions = []
        for condition in found["Conditions"]:
            name, holder = by_field[condition["Field"]]
            conditions.append({name: unrender(shape.members[holder], condition[holder], {})})
        priority = int(found["Priority"])
        return {**super().import_inputs(found), "conditions": conditions, "priority": priority}

    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its ARN."""
        del found
        return {"arn": identity}

    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change priority, actions, conditions and tags."""
        if olds.get("priority") != news.get("priority"):
            priorities = [{"RuleArn": identity, "Priority": news["priority"]}]
            self.elb.set_rule_priorities(RulePriorities=priorities)
        self.elb.modify_rule(
            RuleArn=identity,
            Conditions=self._render_conditions(news),
            **self.render(news, "Actions"),
        )
        self.update_tags(identity, olds, news)

    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it; it goes with its listener too."""
        del inputs
        try:
            self.elb.delete_rule(RuleArn=identity)
        except ClientError as error:
            if read_code(error) not in ("RuleNotFound", "ListenerNotFound"):
                raise


_HOLDERS = [holder for _, holder in CONDITIONS.values()]
KINDS: Sequence[type[Kind]] = (LoadBalancer, TargetGroup, Listener, ListenerRule)
