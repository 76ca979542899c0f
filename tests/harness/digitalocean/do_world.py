"""An emulated account with what the digitalocean target declares, made by calls of its own."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest

from clouds.digitalocean.emulation.places import DEBIAN
from harness.cloud_world import RECORD, STACK, WEB, CloudWorld
from harness.digitalocean.cloud import POLITE, REGION, Cloud
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.front import HEADER
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud.tags import of_service
from immutable_servers.targets.digitalocean import DoTarget, api
from immutable_servers.targets.digitalocean.access import find_host_key
from immutable_servers.targets.digitalocean.names import (
    PREFIX,
    list_tags,
    make_name,
    make_tag,
    name_server,
    tag_count,
    tag_generation,
    tag_live,
    tag_service,
    tag_window,
)
from immutable_servers.targets.digitalocean.template import render_open, render_sealed

SETTINGS: Mapping[str, Any] = {"region": REGION, "attempts": 1, "verify_from": ["127.0.0.0/8"]}
ROUTE = Route("web", 8080)
LAUNCH = Launch("small", 8000, "/healthz", {"GREETING": "hello"})
EVERYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}
OUTWARD = [
    {"protocol": "tcp", "ports": "all", "destinations": EVERYWHERE},
    {"protocol": "udp", "ports": "all", "destinations": EVERYWHERE},
    {"protocol": "icmp", "ports": "0", "destinations": EVERYWHERE},
]
SOON = 30.0
"""Seconds in which the emulated cloud does what the real one takes minutes for."""


@dataclass
class World(CloudWorld):
    """A stack's account with the load balancer of `web`, and generations behind it."""

    cloud: Cloud

    def make_target(self, **settings: Any) -> DoTarget:  # noqa: ANN401 - plain values
        """Return a target on the account."""
        return DoTarget({**SETTINGS, **settings})

    def call(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a call as somebody else, which has to work."""
        said = self.cloud.ask(verb, path, body)
        assert said.code < 400, (verb, path, said)
        return said.body

    def find_all(self, kind: str, **asked: str) -> list[dict[str, Any]]:
        """Return all things of a kind, such as `droplets`, or those of a `tag_name`."""
        words = "".join(f"&{key}={value}" for key, value in asked.items())
        found: list[dict[str, Any]] = self.call("GET", f"{kind}?per_page=200{words}")[kind]
        return found

    def make_balancer(self, scope: Scope = WEB, route: Route = ROUTE, **more: Any) -> str:  # noqa: ANN401 - the body's own
        """Make what `declare_balancer` declares, and a service's way; return the balancer's id."""
        for tag in (make_tag("stack", STACK), tag_live(scope), tag_service(scope)):
            self.cloud.ask("POST", "tags", {"name": tag})
        body = {
            "name": make_name(scope),
            "region": REGION,
            "tag": tag_live(scope),
            "forwarding_rules": [
                {
                    "entry_protocol": "http",
                    "entry_port": route.port,
                    "target_protocol": "http",
                    "target_port": LAUNCH.port,
                }
            ],
            "health_check": {
                "protocol": "http",
                "port": LAUNCH.port,
                "path": LAUNCH.health,
                "check_interval_seconds": 3,
                "response_timeout_seconds": 3,
                "healthy_threshold": 2,
                "unhealthy_threshold": 3,
            },
        }
        made = self.call("POST", "load_balancers", {**body, **more})["load_balancer"]
        rule = {"protocol": "tcp", "ports": str(LAUNCH.port)}
        sources = {"load_balancer_uids": [made["id"]]}
        firewall = {"name": make_name(scope), "tags": [tag_service(scope)]}
        rules = {"inbound_rules": [{**rule, "sources": sources}], "outbound_rules": OUTWARD}
        self.call("POST", "firewalls", {**firewall, **rules})
        return str(made["id"])

    def find_balancer(self, scope: Scope = WEB) -> dict[str, Any]:
        """Return a service's load balancer."""
        name = make_name(of_service(scope))
        return next(one for one in self.find_all("load_balancers") if one["name"] == name)

    def make_fleet(self, scope: Scope, servers: int = 2, **record: Any) -> None:  # noqa: ANN401 - plain
        """Make a generation's droplets, whose login window is open.

        The record may hold a `key`, its window's end as `window_ends` (0 is sealed), and the number
        of the `first` droplet.
        """
        window = int(record.pop("window_ends", time.time() + LOGIN_WINDOW))
        key, first = str(record.pop("key", "ssh-ed25519 AAAA")), int(record.pop("first", 1))
        image = record.pop("image", DEBIAN)
        kept = {**RECORD, "generation": scope.generation, "launch": LAUNCH.to_plain(), **record}
        if window:
            kept |= {"window_ends": window, "launched_at": window - LOGIN_WINDOW}
        tags = [*list_tags(scope, kept), tag_count(scope, servers)]
        tags += [tag_window(scope, window)] if window else []
        for number in range(first, servers + 1):
            name = name_server(scope, number)
            host_key = find_host_key(scope)
            opened = render_open(scope, LAUNCH, name, key, window, "", host_key) if window else ""
            body = {
                "name": name,
                "region": REGION,
                "size": "s-1vcpu-2gb",
                "image": image,
                "tags": tags,
                "with_droplet_agent": False,
                "user_data": opened or render_sealed(scope, LAUNCH, name),
            }
            self.call("POST", "droplets", body)

    def find_droplets(self, scope: Scope) -> dict[str, dict[str, Any]]:
        """Return a generation's droplets by name."""
        return {
            one["name"]: one for one in self.find_all("droplets", tag_name=tag_generation(scope))
        }

    def tag(self, name: str, *droplets: int, verb: str = "POST") -> None:
        """Give a tag to droplets as somebody else, or take it off with `DELETE`."""
        self.call("POST", "tags", {"name": name})
        resources = [{"resource_id": str(one), "resource_type": "droplet"} for one in droplets]
        self.call(verb, f"tags/{name}/resources", {"resources": resources})

    def point(self, scope: Scope) -> None:
        """Have a generation's droplets be those that serve, without the target."""
        for one in self.find_all("droplets", tag_name=tag_live(scope)):
            self.tag(tag_live(scope), one["id"], verb="DELETE")
        self.tag(tag_live(scope), *(one["id"] for one in self.find_droplets(scope).values()))

    def ask(self, path: str = "/healthz", scope: Scope = WEB) -> str:
        """Ask a service's address as a visitor; return whom the answer names."""
        found = self.find_balancer(scope)
        address = f"http://{found['ip']}:{found['forwarding_rules'][0]['entry_port']}{path}"
        with urlopen(Request(address), timeout=10) as answer:
            return str(answer.headers.get(HEADER, ""))

    def find_left(self, scope: Scope) -> list[str]:
        """Return the names of what there is of a generation."""
        name = make_name(scope)
        tags = [one["name"] for one in self.find_all("tags")]
        return [
            *self.find_droplets(scope),
            *(one["name"] for one in self.find_all("firewalls") if one["name"].startswith(name)),
            *(one for one in tags if one.startswith(PREFIX) and f":{name}" in one),
        ]

    def wait_until_healthy(self, scope: Scope) -> None:
        """Wait until a generation's servers are healthy."""
        fleets = self.make_target().fleets

        def ask() -> bool:
            found = fleets.find_health(scope)
            return bool(found) and all(one.ok for one in found)

        done = wait_until(f"{scope.name}", SOON, ask, every=0.05)
        assert done, (fleets.find_health(scope), fleets.find_trouble(scope))


@contextmanager
def enter_world(cloud: Cloud) -> Iterator[World]:
    """Have this process's own calls go to an emulated account, which is quick and even."""
    cloud.set_manners(**POLITE)
    with cloud.lead_here(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "LATELY", 0.0)
        yield World(cloud)


__all__ = ["LAUNCH", "ROUTE", "SOON", "World", "enter_world"]
