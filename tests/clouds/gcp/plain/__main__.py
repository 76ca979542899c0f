"""Uses every type of the stand-in, in the ways that the gcp target does.

Its configuration says what differs from one run to the next.
"""

from typing import Any

import pulumi
import pulumi_gcp as gcp
from pulumi import ResourceOptions

options: dict[str, Any] = pulumi.Config().get_object("options") or {}
labels = {"owner": "plain", **options.get("labels", {})}
provider = gcp.Provider(
    "gcp",
    project=options["project"],
    region=options["region"],
    add_pulumi_attribution_label=False,
)
imports: dict[str, str] = options.get("imports", {})


def found(name: str, *ignored: str) -> ResourceOptions:
    """Return options that adopt what is there, and ignore what changes."""
    return ResourceOptions(
        provider=provider, import_=imports.get(name), ignore_changes=[*ignored] or None
    )


address = gcp.compute.GlobalAddress(
    "address",
    name="plain",
    description=options.get("about", "plain"),
    labels=labels,
    opts=found("address", *options.get("frozen", ())),
)
account = gcp.serviceaccount.Account(
    "servers",
    account_id="plain-servers",
    display_name="Servers",
    description=options.get("says", "of a plain program"),
    opts=found("account"),
)
check = gcp.compute.HealthCheck(
    "servers",
    name="plain",
    check_interval_sec=options.get("interval", 1),
    timeout_sec=1,
    http_health_check={"port": 8000, "request_path": options.get("health", "/healthz")},
    opts=found("check"),
)
closed = gcp.compute.BackendService(
    "closed", name="plain-closed", protocol="HTTP", opts=found("closed")
)
gcp.compute.Firewall(
    "service",
    name="plain-service",
    network="default",
    allows=[{"protocol": "tcp", "ports": [str(options.get("to_port", 8000))]}],
    source_ranges=["35.191.0.0/16", "130.211.0.0/22"],
    target_service_accounts=[account.email],
    opts=found("service"),
)
gcp.compute.Firewall(
    "closed",
    name="plain-closed",
    network="default",
    denies=[{"protocol": "all"}],
    source_ranges=["0.0.0.0/0"],
    priority=65000,
    opts=found("firewall"),
)
template = gcp.compute.InstanceTemplate(
    "servers",
    name=f"plain-{options.get('generation', 'a')}",
    machine_type="e2-small",
    labels={"owner": "plain"},
    metadata={"block-project-ssh-keys": "TRUE", "immutable-record": "{}"},
    disks=[
        {
            "boot": True,
            "auto_delete": True,
            "source_image": options["image"],
            "disk_type": "pd-balanced",
            "disk_size_gb": 10,
            "labels": {"owner": "plain"},
        }
    ],
    network_interfaces=[{"network": "default", "access_configs": [{}]}],
    service_account={"email": account.email, "scopes": ["cloud-platform"]},
    shielded_instance_config={
        "enable_secure_boot": True,
        "enable_vtpm": True,
        "enable_integrity_monitoring": True,
    },
    opts=found("template", *options.get("template_ignores", ())),
)
group = gcp.compute.RegionInstanceGroupManager(
    "servers",
    name="plain",
    base_instance_name="plain",
    versions=[{"instance_template": template.self_link}],
    target_size=options.get("servers", 1),
    named_ports=[{"name": "http", "port": options.get("port", 8000)}],
    update_policy={
        "type": "OPPORTUNISTIC",
        "minimal_action": "REPLACE",
        "instance_redistribution_type": "NONE",
        "max_unavailable_fixed": 3,
    },
    instance_lifecycle_policy={"default_action_on_failure": "DO_NOTHING"},
    all_instances_config={"metadata": {"immutable-window": "{}"}},
    wait_for_instances=False,
    opts=found("group", *options.get("group_ignores", ())),
)
service = gcp.compute.BackendService(
    "servers",
    name="plain",
    protocol="HTTP",
    port_name="http",
    load_balancing_scheme="EXTERNAL_MANAGED",
    health_checks=check.id,
    backends=[{"group": group.instance_group}],
    connection_draining_timeout_sec=30,
    custom_response_headers=[f"X-Immutable-Generation: {options.get('header', 'plain')}"],
    timeout_sec=options.get("timeout", 30),
    opts=found("backend"),
)
nobody = {
    "fault_injection_policy": {"abort": {"http_status": 503, "percentage": 100}},
    "weighted_backend_services": [{"backend_service": closed.id, "weight": 1}],
}
url_map = gcp.compute.URLMap(
    "map",
    name="plain",
    description=options.get("map_about", "plain"),
    host_rules=[{"hosts": ["*"], "path_matcher": "web"}],
    path_matchers=[{"name": "web", "default_route_action": nobody}],
    default_service=closed.id,
    opts=found("map", *options.get("map_ignores", ())),
)
proxy = gcp.compute.TargetHttpProxy("proxy", name="plain", url_map=url_map.id, opts=found("proxy"))
gcp.compute.GlobalForwardingRule(
    "rule",
    name="plain",
    ip_address=address.address,
    port_range="8080",
    target=proxy.id,
    load_balancing_scheme="EXTERNAL_MANAGED",
    labels=labels,
    opts=found("rule", *options.get("frozen", ())),
)
certificate = gcp.compute.ManagedSslCertificate(
    "certificate",
    name="plain",
    managed={"domains": ["www.example.com"]},
    opts=found("certificate"),
)
secure = gcp.compute.TargetHttpsProxy(
    "secure",
    name="plain-secure",
    url_map=url_map.id,
    ssl_certificates=[certificate.id],
    opts=found("secure"),
)
if options.get("scaling"):
    gcp.compute.RegionAutoscaler(
        "cpu",
        name="plain",
        target=group.id,
        autoscaling_policy={
            "min_replicas": 1,
            "max_replicas": 4,
            "cooldown_period": 60,
            "cpu_utilization": {"target": options["scaling"]},
        },
        opts=found("cpu"),
    )
pulumi.export("address", address.address)
pulumi.export("email", account.email)
