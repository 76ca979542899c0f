"""What a provider knows of the run that calls it."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from immutable_servers.resources import declared
from immutable_servers.resources.declared import Declared, find_declared, note_declared
from immutable_servers.system.supervisor import Stat, read_stat

FRONT = {"route": {"service": "web", "port": 80, "host": ""}, "health": "/healthz", "settle": 10}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stat:
    """Have this process be its own engine, in a project of the test's own."""
    monkeypatch.chdir(tmp_path)
    found = read_stat(os.getpid())
    assert found
    be_run_by(found, monkeypatch)
    return found


def be_run_by(engine: Stat | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another engine from now on, or none."""
    monkeypatch.setattr(declared, "find_engine", lambda: engine)


def test_only_the_same_run_believes_what_was_declared(
    engine: Stat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note of a run that has ended is no note: its process's number may be in use again."""
    note_declared("dev", "local", {"web": FRONT}, ["web-aaaaaaaa"])
    found = find_declared()
    assert found == Declared("local", {"web": FRONT}, frozenset({"web-aaaaaaaa"}))
    be_run_by(replace(engine, pid=1), monkeypatch)  # another stack at the same time
    note_declared("prod", "local", {"api": FRONT}, [])
    assert find_declared().services.keys() == {"api"}
    be_run_by(engine, monkeypatch)
    assert find_declared() == found
    for other in (None, replace(engine, started=engine.started + 1), replace(engine, pid=2)):
        be_run_by(other, monkeypatch)
        assert not find_declared().services


@pytest.mark.usefixtures("engine")
def test_a_destroy_declares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that runs the program beside: everything it deletes really goes."""
    note_declared("dev", "local", {"web": FRONT}, ["web-aaaaaaaa"])
    words = ["sh", "-c", "read _", "destroy"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as plain:
        other = read_stat(plain.pid)
        assert other
        be_run_by(other, monkeypatch)
        note_declared("dev", "local", {"web": FRONT}, [])
        assert find_declared().services.keys() == {"web"}  # `destroy` is a mere argument there
        plain.communicate()
    script = Path("destroy")
    script.write_text("echo; read _\n")
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "destroy"], stdin=pipe, stdout=pipe) as destroy:
        assert destroy.stdout
        destroy.stdout.readline()  # For a moment after its start it has no arguments in /proc.
        other = read_stat(destroy.pid)
        assert other
        be_run_by(other, monkeypatch)
        note_declared("dev", "local", {"web": FRONT}, [])
        assert not find_declared().services
        destroy.communicate()
