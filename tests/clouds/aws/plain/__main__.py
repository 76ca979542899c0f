"""Uses every type of the stand-in, in the ways that the aws target does.

Its configuration says what differs from one run to the next.
"""

import base64
import json
from typing import Any

import pulumi
import pulumi_aws as aws

options: dict[str, Any] = pulumi.Config().get_object("options") or {}
tags = {"owner": "plain", **options.get("tags", {})}
vpc, subnets = options["vpc"], options["subnets"]

group = aws.ec2.SecurityGroup(
    "servers", description=options.get("about", "servers"), vpc_id=vpc, tags=tags
)
aws.vpc.SecurityGroupIngressRule(
    "web",
    security_group_id=group.id,
    ip_protocol="tcp",
    from_port=8000,
    to_port=options.get("to_port", 8000),
    **options.get("peer", {"cidr_ipv4": "127.0.0.0/8"}),
)
aws.vpc.SecurityGroupEgressRule(
    "all", security_group_id=group.id, ip_protocol="-1", cidr_ipv4="0.0.0.0/0"
)
template = aws.ec2.LaunchTemplate(
    "servers",
    image_id=options["image"],
    instance_type="t3.small",
    metadata_options={"http_tokens": "required", "http_endpoint": "enabled"},
    block_device_mappings=[
        {"device_name": "/dev/sda1", "ebs": {"encrypted": "true", "volume_size": 8}}
    ],
    user_data=base64.b64encode(json.dumps({"env": options.get("env", {})}).encode()).decode(),
    vpc_security_group_ids=[group.id],
    tag_specifications=[{"resource_type": "instance", "tags": tags}],
    update_default_version=True,
    tags=tags,
)
target_group = aws.lb.TargetGroup(
    "servers",
    port=options.get("port", 8000),
    protocol="HTTP",
    vpc_id=vpc,
    deregistration_delay=1,
    health_check={
        "path": options.get("health", "/healthz"),
        "healthy_threshold": 2,
        "interval": 10,
        "matcher": "200",
    },
    tags=tags,
)
balancer = aws.lb.LoadBalancer(
    "balancer",
    load_balancer_type="application",
    subnets=subnets,
    security_groups=[group.id],
    idle_timeout=options.get("idle", 60),
)
listener = aws.lb.Listener(
    "listener",
    load_balancer_arn=balancer.arn,
    port=8080,
    protocol="HTTP",
    default_actions=[
        {
            "type": "fixed-response",
            "fixed_response": {"content_type": "text/plain", "status_code": "503"},
        }
    ],
    opts=pulumi.ResourceOptions(ignore_changes=["defaultActions"]),
)
rule = aws.lb.ListenerRule(
    "test",
    listener_arn=listener.arn,
    priority=options.get("priority", 10),
    conditions=[{"http_header": {"http_header_name": "X-Test", "values": ["yes"]}}],
    actions=[
        {
            "type": "forward",
            "forward": {"target_groups": [{"arn": target_group.arn, "weight": 100}]},
        }
    ],
)
aws.autoscaling.Group(
    "servers",
    min_size=options.get("servers", 1),
    max_size=4,
    launch_template={
        "id": template.id,
        "version": template.latest_version.apply(str),
    },
    vpc_zone_identifiers=subnets,
    target_group_arns=[target_group.arn],
    health_check_type="ELB",
    health_check_grace_period=60,
    suspended_processes=options.get("suspended", ["ReplaceUnhealthy"]),
    wait_for_capacity_timeout="0",
    force_delete=True,
    tags=[{"key": "owner", "value": "plain", "propagate_at_launch": True}],
    opts=pulumi.ResourceOptions(depends_on=[rule]),
)
pulumi.export("address", balancer.dns_name)
pulumi.export("version", template.latest_version)
