"""Plays the failure matrix on the real engine and the instant target."""

from pathlib import Path

import pytest
from matrix import CASES, REVERTED, SAME, SOURCE, THIRD, Case
from project import Project
from watcher import start_watching


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_matrix(serving: Project, case: Case, tmp_path: Path) -> None:
    """Whatever goes wrong, a verified fleet serves all the time, and every source works next."""
    old = serving.live()
    serving.services["web"]["keep"] = case.keep
    serving.write_settings()
    case.change(serving)
    if case.fault:
        serving.set_fault(case.fault, case.times)
    with start_watching(serving.world):
        for _ in range(case.runs):
            done = serving.up(*case.words)
            assert (done.code == 0) == case.works, done.text
            assert case.says in done.text
    assert (serving.live() != old) == case.moved
    serving.unlock()
    for follow in case.follows:
        (tmp_path / follow).mkdir()
        play_on(serving.copy_to(tmp_path / follow), case, follow, old)


def play_on(project: Project, case: Case, follow: str, old: str) -> None:
    """Run the next source of a case, and ask the three questions."""
    if follow != SAME:
        project.take_sample()
    if follow == THIRD:
        project.edit(SOURCE, "three")
    with start_watching(project.world):
        done = project.up()
    if case.broken and follow == SAME:
        assert done.code != 0, done.text
        assert (project.live(), done.count("delete")) == (old, 0)
        project.assert_serving()
        return
    assert done.code == 0, done.text
    assert project.answer() == project.read_source()
    if follow == REVERTED:
        assert (done.count("bake"), done.count("boot")) == (case.bakes, case.boots)
        assert (project.live() == old) == (not case.boots)
    assert project.find_left() == []
    project.ask_three_questions()
