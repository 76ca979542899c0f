"""The graph of a service under Pulumi's mocks: names, inputs, dependencies and options."""

import asyncio
import json
import os
import runpy
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

from harness.checkout import ROOT
from harness.declarations import Recorder
from immutable_servers.contract.values import FleetSpec, Launch, Scope
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.system.places import list_places

ENGINE = ROOT / "tests" / "engine"
VERDICT = "pulumi-python:dynamic/immutable-servers:Verdict"


class FirstRun(Recorder):
    """Answers as a first run would find it."""

    def __init__(self, ledger: dict[str, Any] | None) -> None:
        super().__init__()
        self.ledger = ledger

    def answer(self, kind: str, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Hand back the inputs and what the provider would have found."""
        if kind == "StackReference":
            outputs = {"ledger": self.ledger} if self.ledger else {}
            return args.name, {"name": args.name, "outputs": outputs}
        found: dict[str, dict[str, Any]] = {
            "Image": {
                "artifact": f"{args.name}/1",
                "details": {
                    "image": args.name,
                    "version": args.inputs.get("version"),
                    "id": f"{args.name}/1",
                },
            },
            "Access": {"public_key": "ssh-ed25519 A", "window_ends": 99},
            "Verification": {
                "verdict": "passed",
                "passed_generation": args.name.rpartition("-")[2],
                "verified": {"how": "1 passed"},
                "failures": [],
            },
            "Seal": {"ready_generation": args.inputs.get("passed")},
            "Traffic": {"live": args.inputs.get("generation"), "tried": "", "fault": ""},
        }
        return f"{args.name}-id", {**args.inputs, **found.get(kind, {})}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the engine tests' sample with its settings in the environment."""
    root = tmp_path / "project"
    shutil.copytree(ENGINE / "sample", root)
    shutil.copy(ROOT / "__main__.py", root)
    (tmp_path / "world").mkdir()
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(ENGINE / "instant"))
    service = {"image": "app", "servers": 2, "port": 80, "route": {"port": 8080}}
    values = {
        "target": "instant",
        "images": json.dumps({"base": {}, "app": {"parent": "base", "sources": ["app"]}}),
        "services": json.dumps({"web": service}),
        "instant": json.dumps({"folder": "../world", "code": "1"}),
    }
    config = {f"immutable-servers:{key}": value for key, value in values.items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    return root


def start_mocks(recorder: Recorder) -> None:
    """Have the recorder answer in the engine's place."""
    mocks.set_mocks(
        recorder,
        project="immutable-servers",
        stack="dev",
        preview=False,
        monitor=recorder.monitor,
        organization="organization",
    )


def run_program(ledger: dict[str, Any] | None = None) -> tuple[Recorder, dict[str, Any]]:
    """Run the real `__main__.py` and return what was registered and what was exported."""
    recorder = FirstRun(ledger)
    start_mocks(recorder)
    exported: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> None:
        exported.update(_export())

    program()
    return recorder, exported


def _export() -> dict[str, Any]:
    kept: dict[str, Any] = {}
    original = pulumi.export
    pulumi.export = kept.__setitem__  # type: ignore[assignment]
    try:
        runpy.run_path("__main__.py", run_name="__main__")
    finally:
        pulumi.export = original
    return kept


def find_generation(recorder: Recorder) -> str:
    """Return the id of the one generation that was registered."""
    (name,) = [key for key in recorder.seen if key.startswith("InstantFleet ")]
    return name.rpartition("-")[2]


def test_every_resource_is_named_as_the_design_draws_it() -> None:
    """Images and release have fixed names; a generation's resources carry its id."""
    recorder, _ = run_program()
    generation = find_generation(recorder)
    assert {*recorder.seen} >= {
        "MachineImage base",
        "Image base",
        "MachineImage app",
        "Image app",
        "InstantBalancer balancer",
        "Service web",
        "Release web",
        "Shares web",
        f"Generation web-{generation}",
        f"Access web-{generation}",
        f"InstantFleet web-{generation}",
        f"Retirement web-{generation}",
        f"Verification web-{generation}",
        f"Seal web-{generation}",
        "Traffic web",
        "Verdict verdict",
    }


def test_a_verdict_comes_after_the_ledger() -> None:
    """A failing verdict ends the run, and the engine drops what is exported after that.

    The engine takes its time for the outputs: long enough for a verdict that does not wait.
    """
    recorder, order = FirstRun(None), list[str]()
    monitor = recorder.monitor
    register, register_outputs = monitor.RegisterResource, monitor.RegisterResourceOutputs

    def note(request: Any) -> Any:  # noqa: ANN401 - the stub's own
        order.append(request.type)
        return register(request)

    def note_late(request: Any) -> Any:  # noqa: ANN401 - the stub's own
        if "pulumi:pulumi:Stack" in request.urn:
            time.sleep(0.5)
            order.append(f"outputs {sorted(request.outputs)}")
        return register_outputs(request)  # type: ignore[no-untyped-call]

    monitor.RegisterResource = note  # type: ignore[method-assign]
    monitor.RegisterResourceOutputs = note_late  # type: ignore[method-assign]
    start_mocks(recorder)
    set_root_resource(None)  # type: ignore[arg-type] # the mocks' own has exported all it will

    def program() -> None:
        runpy.run_path("__main__.py", run_name="__main__")

    asyncio.get_event_loop().run_until_complete(run_in_stack(program))
    assert order.index("outputs ['ledger', 'services']") < order.index(VERDICT)


def test_a_program_without_the_driver_closes_its_folders(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain `pulumi up` keeps other users out of what it writes too."""
    for name in ("DATA_HOME", "CACHE_HOME"):
        monkeypatch.setenv(f"XDG_{name}", str(project.parent / name))
    run_program()
    for folder in list_places(project):
        assert folder.stat().st_mode & 0o7777 == 0o700


def make_known(project: Path, state: State, order: int) -> Record:
    """Return the record of an earlier generation; one that is not retired gets its fleet."""
    launch = {"size": "large", "port": 80, "health": "/", "env": {}, "overrides": {}}
    images = {"app": "v0", "base": "b"}
    generation, verified = f"{order:08x}", {"how": "1 passed"}
    record = Record(generation, order, state, "app", "v0", images, "app/v0", launch, "shape", 1, 0)
    record = replace(record, verified=verified)
    if state is not State.RETIRED:
        scope = Scope("immutable-servers", "dev", "web", generation)
        spec = FleetSpec(scope, "app/v0", Launch.from_plain(launch), 1, record.to_plain())
        folder = project.parent / "world" / "fleets" / f"web-{generation}"
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(spec.to_plain()))
        (folder / "server-0").write_text("one")
    return record


def test_the_ledger_keeps_fifty_records_and_every_one_that_exists(project: Path) -> None:
    """Of those that are retired the newest stay; live and standby do, however old they are."""
    states = {1: State.STANDBY, 2: State.RETIRED, 3: State.LIVE}
    known = [make_known(project, states.get(n, State.RETIRED), n) for n in range(1, 71)]
    (project.parent / "world" / "traffic").mkdir()
    (project.parent / "world" / "traffic" / "web.json").write_text(f'{{"{3:08x}": 100}}')
    ledger = ServiceLedger({record.generation: record for record in known}).to_plain()
    recorder, exported = run_program({"web": ledger})
    kept = {*exported["ledger"]["web"]["generations"]}
    (fresh,) = kept - {record.generation for record in known}
    assert f"InstantFleet web-{fresh}" in recorder.seen
    assert kept == {fresh, f"{1:08x}", f"{3:08x}", *(f"{n:08x}" for n in range(24, 71))}


def test_the_order_of_the_graph() -> None:
    """Fleet, retirement, verification, seal, traffic, verdict: each waits for what it must."""
    recorder, _ = run_program()
    name = f"web-{find_generation(recorder)}"
    expected = {
        f"Access {name}": {"InstantBalancer balancer"},
        f"InstantFleet {name}": {f"Access {name}", "InstantBalancer balancer"},
        f"Retirement {name}": {f"InstantFleet {name}"},
        f"Verification {name}": {f"InstantFleet {name}", f"Retirement {name}"},
        f"Seal {name}": {f"Verification {name}"},
        "Traffic web": {f"Seal {name}", f"Retirement {name}", "Shares web"},
        "Verdict verdict": {"Traffic web", f"Verification {name}"},
        "Leftovers leftovers": {"Verdict verdict"},
    }
    for resource, wanted in expected.items():
        assert recorder.find_dependencies(resource) >= wanted, resource


def test_access_is_declared_after_what_its_state_depends_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a generation that exists, too, which itself depends on nothing that a run may leave out.

    A run with `--target`, as `retire` is, writes what it leaves out as it was, where it is
    declared: before the balancer on which it depends it would break the state.
    """
    known = make_known(project, State.LIVE, 1)
    (project.parent / "world" / "traffic").mkdir()
    (project.parent / "world" / "traffic" / "web.json").write_text(f'{{"{1:08x}": 100}}')
    make = Recorder.new_resource

    def make_slowly(self: Recorder, args: mocks.MockResourceArgs) -> Any:  # noqa: ANN401 - outputs
        if args.typ.endswith("InstantBalancer"):
            time.sleep(0.5)  # all that waits for nothing is declared meanwhile
        return make(self, args)

    monkeypatch.setattr(Recorder, "new_resource", make_slowly)
    recorder, _ = run_program({"web": ServiceLedger({known.generation: known}).to_plain()})
    access, order = f"Access web-{known.generation}", [*recorder.seen]
    assert order.index("InstantBalancer balancer") < order.index(access)
    assert "InstantBalancer balancer" not in recorder.find_dependencies(access)


def test_nothing_depends_on_an_image_in_the_state() -> None:
    """Images outlive what is launched from them, and may be replaced while it runs."""
    recorder, _ = run_program()
    for resource in recorder.seen:
        if resource.startswith(("Access", "Instant", "Verification", "Seal", "Traffic")):
            dependencies = recorder.find_dependencies(resource)
            assert not [one for one in dependencies if one.startswith("Image ")], resource


def test_what_is_protected_and_what_is_retained() -> None:
    """Balancer and pointer are protected; images outlive their resources; fleets do not."""
    requests = run_program()[0].monitor.requests
    protected = {name for name, request in requests.items() if request.protect}
    retained = {name for name, request in requests.items() if request.retainOnDelete}
    assert protected == {"InstantBalancer balancer", "Traffic web"}
    assert retained == {"Image base", "Image app"}


def test_traffic_takes_the_generation_through_the_gate() -> None:
    """The wish is an output of verdict and seal: a dependency alone holds nothing back."""
    recorder, _ = run_program()
    name = f"web-{find_generation(recorder)}"
    for resource, field, source in (
        ("Traffic web", "generation", "Seal"),
        (f"Seal {name}", "passed", "Verification"),
        (f"Verification {name}", "retirement", "Retirement"),
        (f"Retirement {name}", "fleet", "InstantFleet"),
    ):
        request = recorder.monitor.requests[resource]
        (urn,) = request.propertyDependencies[field].urns
        assert urn.endswith(f":{source}::{name}"), resource


def test_the_fleet_is_launched_from_the_bakes_output() -> None:
    """The artifact comes from the image, and the record that goes with the fleet names it."""
    recorder, _ = run_program()
    inputs = recorder.seen[f"InstantFleet web-{find_generation(recorder)}"]
    assert inputs["artifact"] == "app/1"
    assert inputs["record"]["artifact"] == "app/1"
    assert inputs["record"]["window_ends"] == 99
    assert inputs["servers"] == 2


def test_no_private_key_is_an_input_or_an_output() -> None:
    """The login key stays with the target."""
    recorder, _ = run_program()
    text = json.dumps([*recorder.seen.values()], default=str)
    assert "PRIVATE" not in text


def test_the_time_to_settle_is_no_part_of_a_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it is the target's; Traffic gets it with route and health, and no id changes."""
    first, _ = run_program()
    config = json.loads(os.environ["PULUMI_CONFIG"])
    services = json.loads(config["immutable-servers:services"])
    services["web"] |= {"settle": "20s", "generation_header": True}
    config["immutable-servers:services"] = json.dumps(services)
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    second, _ = run_program()
    assert find_generation(first) == find_generation(second)
    route = {"service": "web", "port": 8080, "host": ""}
    for recorder, settle in ((first, 0.02), (second, 20)):
        asked = recorder.seen["Traffic web"]["front"]
        assert asked == {"route": route, "health": "/healthz", "settle": settle}
