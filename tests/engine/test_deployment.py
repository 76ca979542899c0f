"""`Deployment`: the driver for one's own Python, and the example in the documentation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine.project import ROOT, Project
from immutable_servers.driver import Deployment
from immutable_servers.errors import SettingsError, VerificationError


@pytest.fixture
def deployment(
    serving: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Deployment:
    """Return the deployment of a project whose first generation serves."""
    del capfd  # what a test prints is asked for by the test
    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "engine" / "instant"))
    monkeypatch.chdir(serving.root)
    return Deployment(serving.root, "dev")


def test_a_stack_is_driven_from_python(
    serving: Project, deployment: Deployment, capfd: pytest.CaptureFixture[str]
) -> None:
    """Plan, outcome and generations agree; a failure is an error of ours; nothing is printed."""
    first = serving.live()
    assert deployment.preview().result == "nothing"
    serving.edit("app/server.txt", "two")
    plan = deployment.preview()
    (planned,) = plan.services
    assert (plan.result, planned.move, planned.launched) == ("changes", "replace", 2)
    outcome = deployment.up()
    (web,) = outcome.services
    assert outcome.changed
    assert web.generation == planned.desired.id == serving.live()
    assert {"bake", "launch", "verify", "traffic"} <= set(outcome.phases)
    assert outcome.seconds > 0
    live, standby = deployment.generations()
    assert (live.id, live.state, live.address) == (web.generation, "live", web.address)
    assert (standby.id, standby.state, standby.whole) == (first, "standby", True)
    serving.break_app()
    with pytest.raises(VerificationError) as failed:
        deployment.up()
    assert any("test_app_is_not_broken" in fact for fact in failed.value.facts)
    serving.mend_app()
    assert serving.live() == web.generation
    assert "launch" not in deployment.rollback(why="a try").phases
    assert serving.live() == first
    assert [one.pinned for one in deployment.generations() if one.id == first] == [True]
    with pytest.raises(SettingsError, match="pinned"):
        deployment.replace(why="another try")
    deployment.resume(now=True)
    assert serving.live() == web.generation
    serving.assert_serving()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_mistakes_and_the_end(serving: Project, deployment: Deployment) -> None:
    """A stack that does not exist and wrong settings are our errors; lines go to `say` alone."""
    with pytest.raises(SettingsError, match="There is no stack 'prd'"):
        Deployment(serving.root, "prd").up()
    serving.services["web"]["servers"] = 0
    serving.write_settings()
    with pytest.raises(SettingsError, match=r"services\.web\.servers"):
        deployment.preview()
    serving.services["web"]["servers"] = 2
    serving.write_settings()
    lines: list[str] = []
    Deployment(serving.root, "dev", say=lines.append).destroy(and_stack=True)
    assert any("InstantFleet" in line for line in lines)
    assert serving.fleets() == {}


def test_the_example_runs_as_it_is_written(serving: Project, tmp_path: Path) -> None:
    """It previews, updates and lists the generations; a second time there is nothing to do."""
    shutil.copytree(ROOT / "docs" / "examples", serving.root / "docs" / "examples")
    serving.edit("app/server.txt", "two")
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "docs/examples/deploy.py", "dev"],
            cwd=serving.root,
            env={**serving.environment, "IMMUTABLE_PROJECT": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert "web: replace, 2 servers are launched" in told[0]
    assert f"web {serving.live()} live " in told[0]
    assert "verify took" in told[0]
    assert told[1] == "web: nothing, 0 servers are launched\n"
