"""`test`: the linters and the rings, and their sums."""

import os
from pathlib import Path

import pytest

from immutable_bench import rings
from immutable_bench.application import Result


def write_ring(root: Path, ring: str, text: str) -> None:
    """Write a ring with one file."""
    folder = root / "tests" / ring
    folder.mkdir(parents=True)
    (folder / f"test_{ring}.py").write_text(text)


def test_a_ring_gives_its_sums(tmp_path: Path) -> None:
    """Passed, failed and skipped come from pytest's own report."""
    text = """
import pytest
def test_one(): pass
def test_two(): assert False
def test_three(): pytest.skip("later")
@pytest.mark.xfail(strict=True)
def test_four(): assert False
"""
    write_ring(tmp_path, "mixed", text)
    result = rings.run_ring(tmp_path, "mixed", ["-q", "-p", "no:cacheprovider"], os.environ)
    assert (result.passed, result.failed, result.skipped) == (1, 1, 2)


def test_a_ring_that_runs_nothing_has_failed(tmp_path: Path) -> None:
    """A missing folder, and one without tests, are failures and not a pass."""
    missing = rings.run_ring(tmp_path, "missing", [], os.environ)
    assert (missing.passed, missing.failed, missing.note) == (0, 1, "the folder is missing")
    write_ring(tmp_path, "empty", "")
    empty = rings.run_ring(tmp_path, "empty", ["-q"], os.environ)
    assert (empty.passed, empty.failed) == (0, 1)
    assert empty.note


ONCE = """
from pathlib import Path
def test_passes(): pass
def test_needs_a_second_look():
    seen = Path(__file__).with_name("seen")
    was_there = seen.exists()
    seen.touch()
    assert was_there
"""


def test_what_fails_beside_others_is_run_again_alone(tmp_path: Path) -> None:
    """It counts by that second time, and the summary says so; in another ring it has failed."""
    write_ring(tmp_path, "engine", ONCE)
    beside = ["-q", "-n", "2", "--dist", "worksteal"]
    result = rings.run_ring(tmp_path, "engine", beside, os.environ)
    assert (result.passed, result.failed) == (2, 0)
    assert result.note == "1 passed when run again"
    write_ring(tmp_path, "program", ONCE)
    result = rings.run_ring(tmp_path, "program", ["-q"], os.environ)
    assert (result.passed, result.failed, result.note) == (1, 1, "")


@pytest.mark.parametrize("count", [1, 6])
def test_a_fault_fails_again(tmp_path: Path, count: int) -> None:
    """Two times are one failure; and where much fails there is no second time."""
    tests = "".join(f"def test_{number}(): assert False\n" for number in range(count))
    write_ring(tmp_path, "engine", f"{tests}def test_passes(): pass\n")
    result = rings.run_ring(tmp_path, "engine", ["-q"], os.environ)
    assert (result.passed, result.failed, result.note) == (1, count, "")
    report = tmp_path / ".immutable/reports/test-engine-again.xml"
    assert report.exists() == (count == 1)


def test_fast_takes_the_core_of_the_engine_and_machines_are_not_shared() -> None:
    """`--fast` chooses the core of tests/engine and all of others; what boots runs alone."""
    assert rings.render_choice("engine", fast=True)[-1] == "core and not sample"
    assert rings.render_choice("engine", fast=False)[-1] == "not sample"
    assert rings.render_choice("unit", fast=True)[-1] == "not sample"
    assert rings.render_choice("local", fast=False, product=True) == []


@pytest.mark.parametrize(
    ("ring", "workers"), [("engine", ["2"]), ("clouds", ["4"]), ("unit", ["4"]), ("local", [])]
)
def test_rings_that_wait_have_more_processes(
    monkeypatch: pytest.MonkeyPatch, ring: str, workers: list[str]
) -> None:
    """On two cores two processes run the tests of a ring that computes, four one that waits."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert rings.render_choice(ring, fast=False, product=True)[1:2] == workers


def test_only_tools_of_the_stack_files_are_installed() -> None:
    """Stacks on `local` build nothing of a cloud; the product's own CI builds everything."""
    used = {part.name for part in rings.list_tools(("local",), fast=True)}
    every = {part.name for part in rings.list_tools(rings.EVERY_TARGET, fast=True)}
    assert not [name for name in used if "amazon" in name or "aws" in name]
    assert not [name for name in used if "google" in name or "gcp" in name]
    assert not [name for name in used if "digitalocean" in name]
    assert [name for name in every if "amazon" in name]
    assert [name for name in every if "google" in name]
    assert [name for name in every if "digitalocean" in name]


def test_only_the_clouds_of_the_stack_files_are_emulated() -> None:
    """Whoever runs on one cloud has neither SDK nor tools of the others."""
    others = ["--ignore=tests/clouds/digitalocean", "--ignore=tests/clouds/gcp"]
    assert rings.leave_out("clouds", ("local", "aws")) == others
    assert rings.leave_out("clouds", rings.EVERY_TARGET) == []
    assert rings.leave_out("unit", ("local",)) == []


def test_what_a_linter_prints_is_shown_in_one_piece(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A linter runs beside the tests: its words come together, and its failure counts."""
    words = ("-c", "print('one'); print('two'); raise SystemExit(1)")
    result = rings._run_linter(tmp_path, "toy", words, os.environ)
    assert (result.passed, result.failed) == (0, 1)
    assert "== toy\none\ntwo\n" in capsys.readouterr().err


def test_the_last_line_holds_the_sums_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader, or a program, finds the sums on a line of their own."""
    good = [
        Result("mypy", 1, 0, 0, 1.0),
        Result("tests/unit", 10, 0, 1, 1.0),
        Result("tests/engine", 5, 0, 0, 70.0),
    ]
    assert rings.summarize(good) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "15 passed, 0 failed, 1 skipped"
    assert rings.summarize([*good, Result("ruff check", 0, 1, 0, 1.0)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "15 passed, 1 failed, 1 skipped"
