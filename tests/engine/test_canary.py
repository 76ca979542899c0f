"""A canary inside Traffic's one update, on the real engine and the instant target."""

import json

import pytest
from project import Project

CANARY = {"weight": 10, "watch": "1s", "max_error_rate": 0.1, "min_requests": 5}


@pytest.fixture
def canary(serving: Project) -> Project:
    """Return a serving project with a new source, whose traffic will try a canary."""
    serving.services["web"]["canary"] = CANARY
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    return serving


def answer(project: Project, requests: int, errors: int) -> None:
    """Let the candidate answer this much while it is watched."""
    file = project.world / "answers.json"
    file.write_text(json.dumps({"requests": requests, "errors": errors}))


def find_weights(events: list[dict[str, object]]) -> list[list[int]]:
    """Return the weights of each change of traffic, the live generation's first."""
    return [
        sorted(e["weights"].values(), reverse=True)  # type: ignore[attr-defined]
        for e in events
        if e["event"] == "traffic"
    ]


def test_a_good_canary_gets_all(canary: Project) -> None:
    """First its share, then everything; the next `up` is clean."""
    answer(canary, 100, 1)
    old = canary.live()
    done = canary.up()
    assert done.code == 0, done.text
    assert find_weights([*map(dict, done.events)]) == [[90, 10], [100]]
    assert canary.live() != old
    canary.ask_three_questions()


@pytest.mark.parametrize(
    ("requests", "errors", "words"), [(100, 50, "50 of 100"), (3, 0, "only 3 requests")]
)
def test_a_bad_canary_gives_all_back(
    canary: Project, requests: int, errors: int, words: str
) -> None:
    """Too many errors and too few requests each fail the run; a revert costs nothing."""
    answer(canary, requests, errors)
    old = canary.live()
    done = canary.up()
    assert done.code != 0
    assert "TrafficError" in done.text
    assert words in done.text
    assert find_weights([*map(dict, done.events)]) == [[90, 10], [100]]
    assert (canary.live(), done.count("delete")) == (old, 0)
    canary.put_back("app/server.txt")
    done = canary.up()
    assert done.code == 0, done.text
    assert (done.count("boot"), done.count("traffic")) == (0, 0)
    canary.ask_three_questions()
