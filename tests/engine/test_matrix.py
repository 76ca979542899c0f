"""Plays the failure matrix on the real engine and the instant target."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.engine.matrix import ALL, CASES, REVERTED, SAME, SOURCE, THIRD, Case
from harness.engine.project import Outcome, Project
from harness.engine.watcher import start_watching

CORE = ("update: after traffic: kill engine",)
"""Rows that `./immutable test --fast` plays too."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.core] if case.name in CORE else [])
        for case in CASES
    ],
)
def test_matrix(serving: Project, case: Case, tmp_path: Path) -> None:
    """Whatever goes wrong, a verified fleet serves all the time, and every source works next."""
    old = serving.live()
    spec = serving.read_spec(old)
    serving.services["web"]["keep"] = case.keep
    serving.write_settings()
    with start_watching(serving.world) as watcher:
        if case.harms:
            watcher.excused.add(old)
        case.change(serving)
        if case.fault:
            serving.set_fault(case.fault, case.times)
        for _ in range(case.runs):
            done = serving.up(*case.words)
            assert (done.code == 0) == case.works, done.text
            assert case.says in done.text
    assert (serving.live() != old) == case.moved
    assert serving.read_spec(old) in (spec, "")
    serving.unlock()
    for follow in case.follows:
        (tmp_path / follow).mkdir()
        play_on(serving.copy_to(tmp_path / follow), case, follow, old, spec)


def play_on(project: Project, case: Case, follow: str, old: str, spec: str) -> None:
    """Run the next source of a case, and ask the three questions."""
    before = project.live()
    if follow != SAME:
        project.take_sample()
        project.revert_settings(keep=case.keep)
    if follow == THIRD:
        project.edit(SOURCE, "three")
    with start_watching(project.world):
        done = project.up()
    if follow in case.fails:
        assert done.code != 0, done.text
        assert (project.live(), done.count("delete")) == (before, 0)
        project.assert_serving()
        return
    assert done.code == 0, done.text
    assert project.answer() == project.read_source()
    assert_costs(done, case, follow)
    if follow == REVERTED:
        assert (project.live() == old) == (not case.lost)
        assert project.read_spec(old) in (spec, "")
    assert project.find_left() == []
    project.ask_three_questions()


def assert_costs(done: Outcome, case: Case, follow: str) -> None:
    """Assert that nothing is made twice: what a run that died has begun is taken up."""
    if follow == THIRD:
        assert done.count("boot") == 2
    elif case.follows == ALL:
        boots = case.boots[(SAME, REVERTED).index(follow)]
        assert done.count("boot") == boots
        bakes = case.bakes if follow == SAME else 0
        assert done.count("bake") in ((0, 1) if bakes is None else (bakes,))


def test_two_runs_at_once(serving: Project) -> None:
    """One of them works; the other one does too, or says who holds the stack."""
    serving.edit(SOURCE, "two")
    words = ("up", "--yes", "--skip-preview", "-s", "dev")
    with start_watching(serving.world), ThreadPoolExecutor() as pool:
        runs = [pool.submit(serving.pulumi, *words, check=False) for _ in range(2)]
        done = sorted((run.result() for run in runs), key=lambda ended: ended.returncode)
    assert done[0].returncode == 0, done[0].stdout
    assert done[1].returncode == 0 or "locked" in done[1].stdout
    assert serving.answer() == serving.read_source()
    serving._read_new()
    serving.ask_three_questions()
