"""Staged copies of a bake's inputs: those of a killed run go, those of a running one stay."""

import os
from pathlib import Path

from immutable_servers.images.staging import remove_left_stagings
from immutable_servers.system.supervisor import read_stat


def test_only_what_a_killed_run_has_left_is_removed(tmp_path: Path) -> None:
    """A folder that names a running process stays; one of an earlier process of that pid goes."""
    stat = read_stat(os.getpid())
    assert stat
    bakes = tmp_path / ".immutable" / "bakes"
    bakes.mkdir(parents=True)
    mine = bakes / f"app-3f2a9c41d0e7.{os.getpid()}.{stat.started}.x1y2z3"
    left = bakes / f"app-3f2a9c41d0e7.{os.getpid()}.{stat.started - 1}.x1y2z3"
    other = bakes / "notes"
    for folder in (mine, left, other):
        folder.mkdir()
    remove_left_stagings(tmp_path)
    assert sorted(bakes.iterdir()) == sorted([mine, other])
