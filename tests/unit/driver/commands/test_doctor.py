"""`doctor`: what it says of each part, and when it says that one is missing."""

import json
import os
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers.contract.readiness import Demand, Finding, Status
from immutable_servers.driver.commands.doctor import command as doctor
from immutable_servers.driver.commands.doctor.models import SCHEMA_FILE, render_schema
from immutable_servers.driver.commands.doctor.readiness import find_readiness
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup import debian
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.errors import SettingsError
from immutable_servers.targets.local.readiness import LocalReadiness


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stack, on a machine of its own, for a user who is not logged in."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  shop:target: local\n")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PULUMI_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.delenv("PULUMI_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr(doctor, "find_gaps", lambda _root: ["A wall does not hold."])
    return tmp_path


def make_part(name: str, found: Found | None) -> Part:
    """Return a part that is there, or is not."""
    fix = f"sudo apt-get install {name}"
    return Part(name, "1 MB", 1, lambda: found, fix, package=name)


def test_each_part_has_version_and_place_or_a_fix(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package's version is dpkg's; a part that is missing gives its fix and exit code 3."""
    tools = project / "tools"
    tools.mkdir()
    dpkg = tools / "dpkg-query"
    dpkg.write_text("#!/bin/sh\necho 'haproxy 2.6.12-1'\n")
    dpkg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    parts = [
        make_part("packer", Found("1.15.0", "/opt/packer")),
        make_part("haproxy", Found("", "/usr/sbin/haproxy")),
        make_part("mmdebstrap", None),
    ]
    monkeypatch.setattr(doctor, "list_parts", lambda *_, **__: parts)
    assert doctor.show_doctor(Opened(project, "prod")) == 3
    said = capsys.readouterr()
    rows = {line.split("  ")[0]: line.split() for line in said.out.splitlines()}
    assert rows["packer"][1:] == ["1.15.0", "/opt/packer"]
    assert rows["haproxy"][1:] == ["2.6.12-1", "/usr/sbin/haproxy"]
    assert rows["mmdebstrap"][1:] == ["missing", *parts[2].fix.split()]
    assert rows["state"][1:] == ["file", "backend", str(project / ".immutable" / "state")]
    assert said.err.splitlines() == [
        "Missing: mmdebstrap. `./immutable up` installs them.",
        "A wall does not hold.",
    ]


def test_a_backend_of_one_s_own_is_named_without_its_login(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the URL says beside the place may be a secret."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://me:word@db.example/state?key=word")
    monkeypatch.setattr(doctor, "list_parts", lambda *_, **__: [])
    assert doctor.show_doctor(Opened(project, "prod")) == 0
    said = capsys.readouterr().out
    assert "postgres://db.example/state" in said
    assert "word" not in said


def test_a_stack_that_does_not_exist(project: Path) -> None:
    """It is told which there are; without any, it is the local target that is looked at."""
    with pytest.raises(SettingsError, match="Did you mean prod"):
        doctor.show_doctor(Opened(project, "prd"))
    (project / "Pulumi.prod.yaml").unlink()
    assert doctor.find_target(Opened(project, "dev")) == "local"


def test_other_systems_have_no_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without dpkg nothing is known, and nothing fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert debian.find_package_versions(["haproxy"]) == {}


STACK = """config:
  shop:target: local
  shop:images:
    base: {}
  shop:services:
    web: {image: base, checks: [checks], servers: 2, size: medium, port: 80, keep: 2,
          route: {port: 8080}}
"""


def test_what_a_stack_wants(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is asked for services with standbys; a lock without its entry is a line."""
    (project / "Pulumi.prod.yaml").write_text(STACK)
    for folder in ("packer/base", "checks"):
        (project / folder).mkdir(parents=True)
    asked: list[Demand] = []

    def find(_self: LocalReadiness, demand: Demand) -> list[Finding]:
        asked.append(demand)
        return [Finding("memory", "ok", "enough")]

    monkeypatch.setattr(LocalReadiness, "find_readiness", find)
    memory, lock = find_readiness(Opened(project, "prod"))
    (demand,) = asked
    web = demand.services["web"]
    assert (web.first, web.most, web.launch.size) == (4, 8, "medium")
    assert [route.port for route in demand.routes] == [8080]
    assert demand.scope.name == "shop-prod"
    assert demand.starts == {}
    assert (memory.status, lock.what, lock.status) == ("ok", "lock of base", "not ok")
    assert lock.todo == "Run ./immutable update base --stack prod."


@pytest.mark.parametrize(
    ("status", "code"), [("ok", 0), ("note", 0), ("not known", 0), ("not ok", 3)]
)
def test_a_named_stack_s_target_is_asked(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: Status,
    code: int,
) -> None:
    """Its lines are a second table, and only one that is not ok fails; without a name none is."""
    monkeypatch.setattr(doctor, "list_parts", lambda *_, **__: [])
    line = Finding("memory", status, "64 MB free", "buy some")
    monkeypatch.setattr(doctor, "find_readiness", lambda _stack: [line])
    assert doctor.show_doctor(Opened(project, "prod")) == 0
    assert "64 MB" not in capsys.readouterr().out
    file = project / "doctor.json"
    assert doctor.show_doctor(Opened(project, "prod"), asks=True, json=str(file)) == code
    shown = capsys.readouterr().out
    assert "For the stack prod, asked now: nothing was made" in shown
    assert " ".join(shown.splitlines()[-1].split()) == f"{status} memory 64 MB free buy some"
    found = json.loads(file.read_text())
    expected = {"status": status, "what": "memory", "found": "64 MB free", "todo": "buy some"}
    assert found["readiness"] == [expected]
    assert doctor.show_doctor(Opened(project, "prod"), json="-") == 0
    assert json.loads(capsys.readouterr().out)["stack"] == ""


def test_the_schema_is_the_models() -> None:
    """docs/reference/doctor.schema.json is written by `python -m` of the package."""
    assert json.loads((ROOT / SCHEMA_FILE).read_text()) == render_schema()
