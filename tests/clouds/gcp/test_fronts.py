"""What leads to services, through the real engine: nothing that serves goes with a name or a port.

The program declares the balancer alone, so that no server has to be waited for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.gcp.cloud import PROJECT, REGION, Cloud
from harness.gcp.gcp_world import enter_world
from harness.gcp.plain_project import PlainProject, make_plain
from immutable_servers.contract.ownership import Holdings
from immutable_servers.contract.values import Route

PROGRAM = """
import pulumi
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.resources.declared import note_declared
from immutable_servers.targets.gcp import GcpTarget

wish = pulumi.Config().require_object("options")
routes = [Route.from_plain(one) for one in wish["routes"]]
fronts = {one.service: {"route": one.to_plain(), "health": "/", "settle": 1.0} for one in routes}
note_declared("dev", "gcp", fronts, [])
owner = Owner("file://here", "0123456789ab", "organization", "plain", "dev", "/checkout")
graph = GcpTarget(wish["settings"]).start_graph(Scope("plain", "dev"), owner)
graph.declare_balancer(routes, ["small"], pulumi.ResourceOptions())
"""
SETTINGS: Mapping[str, Any] = {
    "project": PROJECT,
    "region": REGION,
    "verify_from": ["127.0.0.1/32"],
}
KINDS = {
    "URLMap": "gcp:compute/uRLMap:URLMap",
    "GlobalForwardingRule": "gcp:compute/globalForwardingRule:GlobalForwardingRule",
    "GcpPointer": "pulumi-python:dynamic/immutable-servers:GcpPointer",
}
MADE = (
    "globalAddresses",
    "backendServices",
    "urlMaps",
    "targetHttpProxies",
    "targetHttpsProxies",
    "sslCertificates",
    "sslPolicies",
)


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud) -> PlainProject:
    """Return a stack that declares a balancer."""
    project = make_plain(tmp_path, cloud)
    (project.root / "__main__.py").write_text(PROGRAM)
    return project


def declare(project: PlainProject, *routes: Route, **settings: Any) -> Sequence[str]:  # noqa: ANN401 - plain values
    """Declare ways to services; return what the engine changed."""
    listed = [route.to_plain() for route in routes]
    return project.change(routes=listed, settings={**SETTINGS, **settings}).steps


def find_ways(project: PlainProject) -> dict[str, str]:
    """Return where each port leads: the sorted hosts of its map, and the proxy's kind.

    Services are added to a map side by side, so that their order in it says nothing.
    """
    client = project.cloud.client()
    maps = {
        one["name"]: one.get("hostRules", ())
        for one in client.urlMaps().list(project=PROJECT).execute().get("items", ())
    }
    found = {}
    rules = client.globalForwardingRules().list(project=PROJECT).execute().get("items", ())
    for rule in rules:
        kind, name = rule["target"].split("/")[-2:]
        hosts = " ".join(sorted(host for one in maps[name] for host in one["hosts"]))
        scheme = kind.removeprefix("target").removesuffix("Proxies").lower()
        found[rule["name"].rpartition("-")[2]] = f"{scheme} {hosts or 'redirect'}"
    return found


def list_made(project: PlainProject) -> dict[str, int]:
    """Return how many things of each kind there are."""
    client = project.cloud.client()
    found = {
        kind: len(getattr(client, kind)().list(project=PROJECT).execute().get("items", ()))
        for kind in MADE
    }
    return {kind: count for kind, count in found.items() if count}


def test_a_service_changes_its_way(project: PlainProject) -> None:
    """Another port is another rule to the same map; another host takes the old map with it."""
    declare(project, Route("web", 8080))
    assert find_ways(project) == {"8080": "http *"}
    steps = declare(project, Route("web", 8081))
    assert not [step for step in steps if "URLMap" in step or "Proxy" in step]
    assert find_ways(project) == {"8081": "http *"}
    declare(project, Route("web", 0, "www.example.com"), Route("api", 0, "api.example.com"))
    assert find_ways(project) == {"80": "http api.example.com www.example.com"}
    declare(project, Route("api", 0, "api.example.com"))
    assert find_ways(project) == {"80": "http api.example.com"}
    assert list_made(project)["urlMaps"] == 1
    assert project.pulumi("destroy", "--yes", "-s", "dev").returncode == 0
    assert (find_ways(project), list_made(project)) == ({}, {})


def test_https_comes_and_goes(project: PlainProject) -> None:
    """The port of HTTP turns into a redirect, and back; nothing is left of the other kind."""
    host = Route("web", 0, "www.example.com")
    declare(project, host)
    declare(project, host, certificate=["www.example.com"], redirect=80)
    assert find_ways(project) == {"80": "http redirect", "443": "https www.example.com"}
    assert declare(project, host, certificate=["www.example.com"], redirect=80) == []
    domains = ["www.example.com", "api.example.com"]
    declare(project, host, certificate=domains, redirect=80)
    assert list_made(project)["sslCertificates"] == len(domains)
    declare(project, host)
    assert find_ways(project) == {"80": "http www.example.com"}
    left = {"globalAddresses", "backendServices", "urlMaps", "targetHttpProxies"}
    assert {*list_made(project)} == left


def test_a_port_changes_its_protocol(project: PlainProject) -> None:
    """A rule keeps the kind of its target, so that the port gets another one; and back."""
    web, certificate = Route("web", 8080), ["www.example.com"]
    declare(project, web)
    declare(project, web, certificate=certificate)
    assert find_ways(project) == {"8080": "https *"}
    assert "targetHttpProxies" not in list_made(project)
    assert declare(project, web, certificate=certificate) == []
    declare(project, web)
    assert find_ways(project) == {"8080": "http *"}
    assert declare(project, web) == []
    assert "targetHttpsProxies" not in list_made(project)


def test_a_port_in_use_changes_its_protocol_in_two_runs(project: PlainProject) -> None:
    """As the preview asks for where somebody is served: another port first, then the old one."""
    certificate = ["www.example.com"]
    declare(project, Route("web", 8080))
    declare(project, Route("web", 8443), certificate=certificate)
    assert find_ways(project) == {"8443": "https *"}
    declare(project, Route("web", 8080), certificate=certificate)
    assert find_ways(project) == {"8080": "https *"}
    assert "targetHttpProxies" not in list_made(project)


def test_what_somebody_renamed_in_the_state_goes_on_serving(project: PlainProject) -> None:
    """The engine takes the old name for something to delete, and only lets go of it."""
    declare(project, Route("web", 8080))
    for kind, name in (
        ("URLMap", "web"),
        ("GlobalForwardingRule", "port.8080"),
        ("GcpPointer", "web.8080"),
    ):
        urn = f"urn:pulumi:dev::plain::{KINDS[kind]}::{name}"
        project.pulumi("state", "rename", urn, f"{name}.old", "--yes", "-s", "dev")
        assert declare(project, Route("web", 8080))
        assert find_ways(project) == {"8080": "http *"}
    assert declare(project, Route("web", 8080)) == []


def test_a_state_that_is_lost_is_made_again_from_what_is_there(project: PlainProject) -> None:
    """All of it is adopted, and the next run has nothing to do."""
    routes = [Route("web", 8080), Route("api", 0, "api.example.com")]
    declare(project, *routes)
    before = list_made(project)
    project.forget()
    project.write_settings()
    steps = declare(project, *routes)
    assert len([step for step in steps if step.startswith("import ")]) == 8
    assert (declare(project, *routes), list_made(project)) == ([], before)


def test_a_stack_that_no_state_holds_is_swept(project: PlainProject) -> None:
    """All of its fronts are known by name and words, and go in one step, each after its users."""
    routes = [Route("web", 8080), Route("api", 0, "api.example.com")]
    declare(project, *routes, certificate=["www.example.com"], redirect=80)
    assert len(find_ways(project)) == 3
    with enter_world(project.cloud) as world:
        project.cloud.set_manners(linger=0.5)
        ownership = world.make_target().ownership
        (left,) = ownership.find_leftovers(lambda _owner: Holdings())
        assert (left.kind, left.name, left.sure) == ("stack", "plain/dev", True)
        assert ownership.remove_leftover(left, lambda _owner: Holdings())
    assert (find_ways(project), list_made(project)) == ({}, {})
