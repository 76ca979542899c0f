"""The first run from places whose names mean something in another language, on the engine.

Everything works there, or is refused before anything is written, and nothing is ever written
beside the folders that are ours.
"""

import json
import shutil
from pathlib import Path

import pytest

from harness.engine.project import ROOT, SAMPLE, Project

NEIGHBOURS = ("C", "shop/login", "a")
"""Folders that the names below would mean to whoever reads them as part of a URL."""
HOSTILE = ("shop%2Flogin", "C#", "a?b", "100% [1]", 'it\'s "mine"', "b\\s {{x}} $HOME, ü")


def make_project(folder: Path) -> Project:
    """Copy the sample, with its world beside it; its state is to be the driver's own."""
    root = folder / "project"
    shutil.copytree(SAMPLE, root)
    shutil.copy(ROOT / "__main__.py", root)
    (folder / "world").mkdir()
    project = Project(root)
    project.revert_settings(keep=1)
    return project


def list_files(folder: Path, *left_out: Path) -> set[Path]:
    """Return all below a folder, but what is in these."""
    found = folder.rglob("*")
    return {path for path in found if not any(path.is_relative_to(one) for one in left_out)}


@pytest.mark.parametrize("names", [HOSTILE[:1], HOSTILE[1:2], HOSTILE[2:]], ids=["%", "#", "rest"])
def test_the_first_run_works(tmp_path: Path, names: tuple[str, ...]) -> None:
    """From there, with its temporary files and its cache in such folders too.

    The state is in the checkout, where every command finds it, and no neighbour gets any of it.
    """
    for name in NEIGHBOURS:
        (tmp_path / name / "project").mkdir(parents=True)
    here = tmp_path.joinpath(*names)
    here.mkdir(parents=True)
    project = make_project(here)
    (scratch := tmp_path / "it's %2F C# a?b [1] \\s $HOME").mkdir()
    ours = (here, scratch, tmp_path / "data")
    before = list_files(tmp_path, *ours)
    environment = {
        "PULUMI_BACKEND_URL": "",
        "TMPDIR": str(scratch),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }

    def run(*words: str) -> str:
        done = project.run_driver(*words, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("up", "dev")
    live = project.live()
    assert live
    project.assert_serving()
    (state,) = project.root.glob(".immutable/state/.pulumi/stacks/*/dev.json")
    assert live in state.read_text()
    assert json.loads(run("status", "--json", "-"))["services"][0]["generations"][0]["id"] == live
    assert "nothing" in run("preview", "dev", "--offline")
    assert live not in run("sweep", "dev")
    run("up", "dev")
    assert project.live() == live
    assert list_files(tmp_path, *ours) == before
    assert list(scratch.iterdir()) == []
