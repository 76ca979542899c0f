"""Declares what `life.json` names: a target's balancer and fleets, with nothing of the core."""

import json
from pathlib import Path

import pulumi

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Launch, Route, Scope
from immutable_servers.targets import load_target

wish = json.loads(Path("life.json").read_text())
target = load_target(wish["target"], wish["settings"])
owner = Owner(**wish["owner"])
graph = target.start_graph(Scope(owner.project, owner.stack), owner)
balancer = graph.declare_balancer(
    [Route.from_plain(wish["route"])],
    [spec["launch"]["size"] for spec in wish["fleets"]],
    pulumi.ResourceOptions(protect=False),
)
for spec in wish["fleets"]:
    scope, opts = Scope.from_plain(spec["scope"]), pulumi.ResourceOptions()
    name, frozen = f"{scope.service}-{scope.generation}", spec["servers"] != wish["first"]
    launch = Launch.from_plain(spec["launch"])
    graph.prepare_fleet(name, scope, launch, frozen=frozen, opts=opts)
    graph.declare_fleet(name, {**spec, "balancer": balancer.id}, frozen=frozen, opts=opts)
