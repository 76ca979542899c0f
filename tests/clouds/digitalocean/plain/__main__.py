"""Uses every type of the stand-in, in the ways that the digitalocean target does.

Its configuration says what differs from one run to the next.
"""

from typing import Any

import pulumi
import pulumi_digitalocean as digitalocean
from pulumi import ResourceOptions

options: dict[str, Any] = pulumi.Config().get_object("options") or {}
region = options["region"]
provider = digitalocean.Provider("digitalocean")
imports: dict[str, str] = options.get("imports", {})
port = options.get("port", 8000)


def found(name: str, *ignored: str) -> ResourceOptions:
    """Return options that adopt what is there, and ignore what changes."""
    return ResourceOptions(
        provider=provider, import_=imports.get(name), ignore_changes=[*ignored] or None
    )


servers = digitalocean.Tag("servers", name="plain-servers", opts=found("servers"))
live = digitalocean.Tag("live", name="plain-live", opts=found("live"))
balancer = digitalocean.LoadBalancer(
    "balancer",
    name="plain",
    region=region,
    size_unit=1,
    droplet_tag=live.name,
    forwarding_rules=[
        {
            "entry_protocol": "http",
            "entry_port": 8080,
            "target_protocol": "http",
            "target_port": port,
        }
    ],
    healthcheck={
        "protocol": "http",
        "port": port,
        "path": options.get("health", "/healthz"),
        "check_interval_seconds": 3,
        "response_timeout_seconds": 3,
        "healthy_threshold": 2,
        "unhealthy_threshold": 3,
    },
    sticky_sessions={"type": "none"},
    http_idle_timeout_seconds=options.get("timeout", 60),
    opts=found("balancer"),
)
firewall = digitalocean.Firewall(
    "service",
    name="plain",
    tags=[servers.name],
    inbound_rules=[
        {
            "protocol": "tcp",
            "port_range": str(port),
            "source_load_balancer_uids": [balancer.id],
        }
    ],
    outbound_rules=[
        {
            "protocol": protocol,
            "port_range": ports,
            "destination_addresses": ["0.0.0.0/0", "::/0"],
        }
        for protocol, ports in (("tcp", "all"), ("udp", "all"), ("icmp", ""))
    ],
    opts=found("service"),
)
droplet = digitalocean.Droplet(
    "server",
    name=options.get("name", "plain-1"),
    region=region,
    size=options.get("size", "s-1vcpu-1gb"),
    image=options["image"],
    tags=[servers.name, *options.get("tags", ())],
    droplet_agent=False,
    user_data=f"#!/bin/sh\nexit 0 # {options.get('says', 'plain')}\n",
    opts=ResourceOptions.merge(
        found("server", *options.get("frozen", ())), ResourceOptions(depends_on=[firewall])
    ),
)
reserved = digitalocean.ReservedIp(
    "reserved", region=region, opts=found("reserved", *options.get("reserved_ignores", ()))
)
pulumi.export("droplet", droplet.id)
pulumi.export("reserved", reserved.ip_address)
pulumi.export("balancer", balancer.id)
pulumi.export("firewall", firewall.id)
