"""What leads to services, through the real engine: nothing that serves goes with a changed route.

The program declares balancers alone; droplets are made beside it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cloud_checkout import PlainProject
from harness.digitalocean.cloud import REGION, Cloud
from harness.digitalocean.do_world import LAUNCH, World, enter_world
from immutable_bench.client import start_clients
from immutable_servers.contract.values import Route, Scope
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.digitalocean.balancer import DoBalancer
from immutable_servers.targets.digitalocean.names import make_name

GENERATION = "11111111"
PROGRAM = f"""
import pulumi
from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.resources.declared import note_declared
from immutable_servers.targets.digitalocean import DoTarget

wish = pulumi.Config().require_object("options")
routes = [Route.from_plain(one) for one in wish["routes"]]
way = {{"health": "/healthz", "settle": 1.0}}
fronts = {{one.service: {{"route": one.to_plain(), **way}} for one in routes}}
note_declared("dev", "digitalocean", fronts, [f"{{one.service}}-{GENERATION}" for one in routes])
owner = Owner("file://here", "0123456789ab", "organization", "plain", "dev", "/checkout")
graph = DoTarget(wish["settings"]).start_graph(Scope("plain", "dev"), owner)
graph.declare_balancer(routes, ["small"], pulumi.ResourceOptions())
for one in routes:
    scope = Scope("plain", "dev", one.service, "{GENERATION}")
    launch = Launch("small", {LAUNCH.port}, "{LAUNCH.health}")
    name = f"{{one.service}}-{GENERATION}"
    graph.prepare_fleet(name, scope, launch, frozen=True, opts=pulumi.ResourceOptions())
"""
WEB = Scope("plain", "dev", "web", GENERATION)
TO_WEB = {GENERATION: 100}
PORT, RESERVED = Route("web", 8080), Route("web", LAUNCH.port, reserved_ip=True)
SHOWN_SECONDS = 30.0
Project = PlainProject[Cloud]


@pytest.fixture
def project(tmp_path: Path, cloud: Cloud) -> Project:
    """Return a stack that declares balancers."""
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "state").mkdir()
    (root / "Pulumi.yaml").write_text("name: plain\nruntime:\n  name: python\n")
    (root / "__main__.py").write_text(PROGRAM)
    project = Project(root, cloud=cloud)
    project.write_settings()
    project.pulumi("stack", "init", "dev")
    return project


def declare(project: Project, *routes: Route, **settings: Any) -> Sequence[str]:  # noqa: ANN401 - plain values
    """Declare ways to services; return what the engine changed."""
    listed = [route.to_plain() for route in routes]
    return project.change(routes=listed, settings={"region": REGION, **settings}).steps


def serve(world: World, servers: int = 2) -> DoBalancer:
    """Have a generation of `web` be served."""
    world.make_fleet(WEB, servers)
    world.wait_until_healthy(WEB)
    balancer = world.make_target().balancer
    balancer.set_traffic(WEB, TO_WEB)
    return balancer


def find_rules(world: World) -> list[tuple[str, int]]:
    """Return what the balancer of `web` takes: protocols and ports."""
    rules = world.find_balancer(WEB)["forwarding_rules"]
    return [(one["entry_protocol"], one["entry_port"]) for one in rules]


def is_answered(world: World) -> bool:
    """Tell whether a visitor is answered."""
    try:
        return bool(world.ask(scope=WEB))
    except OSError:
        return False


def test_a_serving_balancer_changes_without_a_gap(project: Project) -> None:
    """An update writes everything, and the pool stays: no request fails while settings change."""
    declare(project, PORT)
    with enter_world(project.cloud) as world:
        serve(world)
        before = world.find_balancer(WEB)
        assert wait_until("web serves", SHOWN_SECONDS, lambda: is_answered(world), every=0.1)
        with start_clients(f"http://{before['ip']}:{PORT.port}", 50) as clients:
            steps = declare(project, PORT, timeout=300, allow_from=["127.0.0.0/8"])
            assert "update LoadBalancer web" in steps
        assert [one.why for one in clients.answers if not one.ok] == []
        after = world.find_balancer(WEB)
    assert (after["ip"], after["droplet_ids"]) == (before["ip"], before["droplet_ids"])
    assert after["firewall"]["allow"] == ["cidr:127.0.0.0/8"]
    assert declare(project, PORT, timeout=300, allow_from=["127.0.0.0/8"]) == []


def test_a_certificate_comes_and_goes(project: Project) -> None:
    """Its rule is changed in place, and HTTP redirects; the pool stays, and it is the way back."""
    host = Route("web", 0, "www.example.com")
    pair = {"private_key": "key", "leaf_certificate": "leaf"}
    assert project.cloud.ask("POST", "certificates", {"name": "www", **pair}).code == 201
    declare(project, host)
    with enter_world(project.cloud) as world:
        balancer = serve(world)
        pool = world.find_balancer(WEB)["droplet_ids"]
        assert find_rules(world) == [("http", 80)]
        declare(project, host, certificate="www", redirect=80)
        assert find_rules(world) == [("https", 443), ("http", 80)]
        assert declare(project, host, certificate="www", redirect=80) == []
        declare(project, host)
        assert find_rules(world) == [("http", 80)]
        assert (len(pool), world.find_balancer(WEB)["droplet_ids"]) == (2, pool)
        assert balancer.find_weights(WEB) == TO_WEB


def test_a_reserved_ip_is_assigned_by_nobody_else(project: Project) -> None:
    """The engine neither takes it away nor gives it back, also after a refresh; it goes in the end.

    In a state that is lost it is found by its tag.
    """
    declare(project, RESERVED)
    with enter_world(project.cloud) as world:
        balancer = serve(world, servers=1)
        assert declare(project, RESERVED) == []
        project.pulumi("refresh", "--yes", "--skip-preview", "-s", "dev")
        assert declare(project, RESERVED) == []
        (address,) = world.find_all("reserved_ips")
        assert balancer.find_front(RESERVED, WEB) == f"http://{address['ip']}:{LAUNCH.port}"
        project.forget()
        project.write_settings()
        assert any(step.startswith("import ReservedIp") for step in declare(project, RESERVED))
        assert declare(project, RESERVED) == []
        assert balancer.find_weights(WEB) == TO_WEB
        balancer.set_traffic(WEB, {})
        done = project.destroy()
        assert done.code == 0, done.text
        assert world.find_all("reserved_ips") == []
        assert world.find_left(WEB) == []


def test_a_service_s_way_does_not_change_its_kind(project: Project) -> None:
    """Balancer and reserved IP would both lead to it; the preview says so, and nothing changes."""
    declare(project, PORT)
    project.options |= {"routes": [RESERVED.to_plain()]}
    project.write_settings()
    project.preview().assert_failed("cannot change between a load balancer and a reserved IP")
    left = project.cloud.ask("GET", "load_balancers").body["load_balancers"]
    assert [one["name"] for one in left] == [make_name(Scope("plain", "dev", "web"))]


def test_a_state_that_is_lost_is_made_again_from_what_is_there(project: Project) -> None:
    """All of it is adopted, and the next run has nothing to do."""
    routes = [PORT, Route("api", 0, "api.example.com")]
    declare(project, *routes)
    project.forget()
    project.write_settings()
    steps = declare(project, *routes)
    assert len([step for step in steps if step.startswith("import ")]) == 9
    assert declare(project, *routes) == []


def test_a_service_that_serves_does_not_go(project: Project) -> None:
    """The engine asks before its balancer goes; without traffic all of it goes."""
    declare(project, PORT)
    with enter_world(project.cloud) as world:
        balancer = serve(world)
        project.options |= {"routes": []}
        project.write_settings()
        project.up().assert_failed("traffic")
        assert is_answered(world)
        balancer.set_traffic(WEB, {})
        done = project.up()
        assert done.code == 0, done.text
        assert world.find_all("load_balancers") == []
        assert world.find_left(WEB) == []
