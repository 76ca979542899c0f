"""An emulated project with what the gcp target declares, made through Google's own interface."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import Request, urlopen

from harness.cloud_world import RECORD, STACK, WEB, CloudWorld
from harness.gcp.cloud import POLITE, PROJECT, REGION, ZONES, Cloud
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.balancer import name_closed, name_map
from immutable_servers.targets.gcp.names import HEADER, describe, make_labels, make_name
from immutable_servers.targets.gcp.template import (
    CLOUD_SCOPE,
    FIXED,
    WINDOW,
    list_metadata,
    render_metadata,
    render_window,
)
from immutable_servers.targets.gcp.url_maps import render_action

SETTINGS: Mapping[str, Any] = {
    "project": PROJECT,
    "region": REGION,
    "attempts": 1,
    "verify_from": ["127.0.0.1/32"],
}
ROUTE = Route("web", 8080)
LAUNCH = Launch("small", 8000, "/healthz", {"GREETING": "hello"})
PLACE = f"projects/{PROJECT}"
CHECKS = ["35.191.0.0/16", "130.211.0.0/22"]
"""Who asks for health and sends requests."""
SOON = 30.0
"""Seconds in which the emulated cloud does what the real one takes minutes for."""


@dataclass
class World(CloudWorld):
    """A stack's load balancer with a pointer for `web`, and generations behind it."""

    cloud: Cloud

    def make_target(self, **settings: Any) -> GcpTarget:  # noqa: ANN401 - plain values
        """Return a target on the project."""
        return GcpTarget({**SETTINGS, **settings})

    def call(self, collection: str, method: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - the method's own
        """Make a call as somebody else, and wait for its operation."""
        client = self.cloud.client()
        arguments = {"project": PROJECT, **arguments}
        answer: dict[str, Any] = getattr(getattr(client, collection)(), method)(
            **arguments
        ).execute()
        if answer.get("kind") != "compute#operation":
            return answer
        for place in ("zone", "region"):
            if place in answer:
                operations = getattr(client, f"{place}Operations")()
                where = {place: answer[place].rpartition("/")[2]}
                break
        else:
            operations, where = client.globalOperations(), {}
        done = operations.wait(
            project=arguments["project"], operation=answer["name"], **where
        ).execute()
        assert "error" not in done, done
        return answer

    def insert(self, collection: str, body: Mapping[str, Any], **where: str) -> None:
        """Make a thing."""
        self.call(collection, "insert", body=body, **where)

    def find_map(self, name: str = "") -> dict[str, Any]:
        """Return a URL map, that of `web` by default."""
        return self.call("urlMaps", "get", urlMap=name or make_name(WEB))

    def make_balancer(self) -> None:
        """Make what `declare_balancer` declares, without what leads a request to its maps."""
        words = describe(STACK)
        self.insert("globalAddresses", {"name": make_name(STACK), "description": words})
        self.insert(
            "backendServices",
            {
                "name": name_closed(STACK),
                "description": words,
                "loadBalancingScheme": "EXTERNAL_MANAGED",
            },
        )
        self.make_map(ROUTE)
        self.make_target().balancer.add_service(WEB, ROUTE)

    def make_map(self, route: Route) -> None:
        """Make the map of a route, which points to nobody."""
        closed = f"{PLACE}/global/backendServices/{name_closed(STACK)}"
        scope = replace(STACK, service=route.service)
        body = {"name": name_map(scope, route), "description": describe(STACK)}
        action = render_action({}, closed)
        self.insert("urlMaps", {**body, "defaultRouteAction": action})

    def open_front(self, route: Route = ROUTE) -> None:
        """Have the address lead to the map of a route."""
        name, address = name_map(WEB, route), make_name(STACK)
        words = {"description": describe(STACK)}
        body = {"name": name, "urlMap": f"{PLACE}/global/urlMaps/{name}"}
        self.insert("targetHttpProxies", {**body, **words})
        rule = {
            "name": f"{address}-{route.port}",
            "IPAddress": f"{PLACE}/global/addresses/{address}",
            "portRange": str(route.port),
            "target": f"{PLACE}/global/targetHttpProxies/{name}",
            "loadBalancingScheme": "EXTERNAL_MANAGED",
        }
        self.insert("globalForwardingRules", {**rule, **words})

    def ask(self, address: str, headers: Mapping[str, str]) -> str:
        """Ask an address as a visitor; return whom the answer names."""
        with urlopen(Request(f"{address}/healthz", headers=dict(headers)), timeout=10) as answer:  # noqa: S310 - the emulated cloud's
            return str(answer.headers.get(HEADER, ""))

    def make_fleet(self, scope: Scope, servers: int = 2, **record: Any) -> None:  # noqa: ANN401 - plain
        """Make all of a generation; its servers come by themselves, and its route by the target.

        The record may hold a `key` and its window's end.
        """
        name, words = make_name(scope), describe(scope)
        window = int(record.pop("window_ends", time.time() + LOGIN_WINDOW))
        key = str(record.pop("key", "ssh-ed25519 AAAA"))
        check = {"requestPath": LAUNCH.health, "port": LAUNCH.port}
        self.insert(
            "healthChecks",
            {
                "name": name,
                "description": words,
                "type": "HTTP",
                "checkIntervalSec": 1,
                "timeoutSec": 1,
                "httpHealthCheck": check,
            },
        )
        self.insert(
            "firewalls",
            {
                "name": f"{name}-service",
                "description": words,
                "network": f"{PLACE}/global/networks/default",
                "sourceRanges": CHECKS,
                "allowed": [{"IPProtocol": "tcp", "ports": [str(LAUNCH.port)]}],
            },
        )
        account = self.make_target().settings.find_account(scope)
        path = f"{PLACE}/serviceAccounts/{account}"
        self.cloud.put(path, name=path, email=account)
        self.insert("instanceTemplates", self._render_template(scope, record))
        self._make_group(scope, servers, render_window(key, window), window)
        group = f"{PLACE}/regions/{REGION}/instanceGroups/{name}"
        self.make_backend(
            scope,
            healthChecks=[f"{PLACE}/global/healthChecks/{name}"],
            backends=[{"group": group}],
        )
        self.make_target().balancer.add_route(scope)

    def make_backend(self, scope: Scope, **more: Any) -> None:  # noqa: ANN401 - the body's own
        """Make a generation's backend service; by default it has no servers."""
        body = {
            "name": make_name(scope),
            "description": describe(scope),
            "loadBalancingScheme": "EXTERNAL_MANAGED",
            "protocol": "HTTP",
            "portName": "http",
            "timeoutSec": 30,
            "connectionDraining": {"drainingTimeoutSec": 0},
            "customResponseHeaders": [f"{HEADER}: {scope.service}-{scope.generation}"],
        }
        self.insert("backendServices", {**body, **more})

    def _render_template(self, scope: Scope, record: Mapping[str, Any]) -> dict[str, Any]:
        kept = {**RECORD, "generation": scope.generation, **record}
        metadata = {**FIXED, **render_metadata(scope, LAUNCH, kept)}
        source = "projects/debian-cloud/global/images/family/debian-13"
        account = self.make_target().settings.find_account(scope)
        return {
            "name": make_name(scope),
            "description": describe(scope),
            "properties": {
                "machineType": "e2-small",
                "labels": make_labels(scope),
                "serviceAccounts": [{"email": account, "scopes": [CLOUD_SCOPE]}],
                "disks": [
                    {
                        "boot": True,
                        "autoDelete": True,
                        "initializeParams": {"sourceImage": source},
                    }
                ],
                "networkInterfaces": [
                    {
                        "network": f"{PLACE}/global/networks/default",
                        "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "external"}],
                    }
                ],
                "metadata": list_metadata(metadata),
            },
        }

    def _make_group(self, scope: Scope, servers: int, window: str, end: int) -> None:
        name = make_name(scope)
        body = {
            "name": name,
            "description": describe(scope, **{ends.WINDOW: str(end)}),
            "baseInstanceName": name,
            "instanceTemplate": f"{PLACE}/global/instanceTemplates/{name}",
            "targetSize": servers,
            "namedPorts": [{"name": "http", "port": LAUNCH.port}],
            "distributionPolicy": {
                "targetShape": "BALANCED",
                "zones": [{"zone": f"{PLACE}/zones/{zone}"} for zone in ZONES],
            },
            "updatePolicy": {"type": "OPPORTUNISTIC", "instanceRedistributionType": "NONE"},
            "instanceLifecyclePolicy": {"defaultActionOnFailure": "DO_NOTHING"},
            "allInstancesConfig": {"properties": {"metadata": {WINDOW: window}}},
        }
        self.insert("regionInstanceGroupManagers", body, region=REGION)

    def make_scaler(self, scope: Scope, mode: str, least: int = 2, most: int = 6) -> None:
        """Make the autoscaler of a generation's group."""
        name, processors = make_name(scope), {"utilizationTarget": 0.5}
        body = {
            "name": name,
            "description": describe(scope),
            "target": f"{PLACE}/regions/{REGION}/instanceGroupManagers/{name}",
            "autoscalingPolicy": {
                "minNumReplicas": least,
                "maxNumReplicas": most,
                "cpuUtilization": processors,
                "mode": mode,
            },
        }
        self.insert("regionAutoscalers", body, region=REGION)

    def find_left(self, scope: Scope) -> list[str]:
        """Return the names of what there is of a generation."""
        kinds = ("backendServices", "healthChecks", "instanceTemplates", "firewalls")
        regional = ("regionInstanceGroupManagers", "regionAutoscalers")
        places = self.call("instances", "aggregatedList")["items"].values()
        found = [
            *(one for kind in kinds for one in self.call(kind, "list").get("items", ())),
            *(
                one
                for kind in regional
                for one in self.call(kind, "list", region=REGION).get("items", ())
            ),
            *(one for place in places for one in place.get("instances", ())),
        ]
        names = [*(one["name"] for one in found), self.make_target().balancer.find_token(scope)]
        return [name for name in names if scope.generation in name]

    def wait_until_healthy(self, scope: Scope) -> None:
        """Wait until a generation's servers are healthy."""
        fleets = self.make_target().fleets

        def ask() -> bool:
            found = fleets.find_health(scope)
            return bool(found) and all(one.ok and one.serving for one in found)

        done = wait_until(f"{scope.name}", SOON, ask, every=0.05)
        assert done, (fleets.find_health(scope), fleets.find_trouble(scope))


@contextmanager
def enter_world(cloud: Cloud) -> Iterator[World]:
    """Have this process's own calls go to an emulated cloud, which is quick and even."""
    cloud.set_manners(**POLITE)
    with cloud.lead_here():
        yield World(cloud)
