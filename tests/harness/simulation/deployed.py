"""Begins with the ledger of a real stack: its generations, made again in memory."""

import json
from collections.abc import Mapping
from typing import Any

from harness.simulation import machine
from harness.simulation.project import SimulatedProject
from immutable_servers.contract.values import ALL, Artifact, FleetSpec, Launch, Scope
from immutable_servers.ledger.reader import parse_ledgers
from immutable_servers.ledger.records import Record, ServiceLedger, State

NAMES = ("web", "api")
"""What the services are called here; a stack with more of them gives its first two."""


def start_from(ledger: Mapping[str, Any]) -> SimulatedProject:
    """Return a project that serves what a stack serves; the sample is the checkout.

    Images and servers are made up from their records: the state is that of a stack whose state file
    was lost but for its outputs, which the first run completes.
    """
    found = dict(zip(NAMES, ledger.values(), strict=False))
    project = SimulatedProject.start()
    machine.use(project)
    project.state.outputs = {"ledger": json.loads(json.dumps(found))}
    base = project.services["web"]
    project.services, project.images = {}, {"base": {}}
    for number, (name, service) in enumerate(parse_ledgers(found).items()):
        _make_service(project, name, service)
        live = service.generations[service.live]
        project.images[live.image] = {"parent": "base", "sources": ["app"]}
        project.services[name] = {
            **base,
            "image": live.image,
            "servers": live.servers,
            "route": {"port": 8080 + number},
        }
        project.files[f"/project/packer/{live.image}/instant.pkr.hcl"] = ""
    done = project.up()
    assert done.code == 0, done.text
    return project


def _make_service(project: SimulatedProject, name: str, ledger: ServiceLedger) -> None:
    world = machine.World()
    for record in ledger.generations.values():
        artifact = Artifact(
            record.image, record.version, record.artifact, facts={"answer": record.version}
        )
        world.write(world.artifact_file(artifact.id), artifact.to_plain())
        if record.state is not State.RETIRED:
            world.launch(_make_spec(name, record))
    world.write(world.pointer(name), {ledger.live: ALL} if ledger.live else {})
    project.watch.proved |= {(name, generation) for generation in ledger.generations}


def _make_spec(name: str, record: Record) -> FleetSpec:
    return FleetSpec(
        scope=Scope("immutable-servers", "dev", name, record.generation),
        artifact=record.artifact,
        launch=Launch.from_plain(record.launch),
        servers=record.servers,
        record=record.to_plain(),
    )
