"""Declares what `life.json` names: a target's balancer and fleets, with nothing of the core."""

import json
from pathlib import Path

import pulumi

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Route, Scope
from immutable_servers.targets import load_target

wish = json.loads(Path("life.json").read_text())
target = load_target(wish["target"], wish["settings"])
owner = Owner(**wish["owner"])
graph = target.start_graph(Scope(owner.project, owner.stack), owner)
balancer = graph.declare_balancer(
    [Route.from_plain(wish["route"])], pulumi.ResourceOptions(protect=False)
)
for spec in wish["fleets"]:
    graph.declare_fleet(
        f"{spec['scope']['service']}-{spec['scope']['generation']}",
        {**spec, "balancer": balancer.id},
        frozen=spec["servers"] != wish["first"],
        opts=pulumi.ResourceOptions(),
    )
