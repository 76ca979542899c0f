"""The load run, and when its goal is met."""

from immutable_bench.client import (
    Answer,
)
from immutable_bench.load import RATE, judge


def test_runs_and_the_time_between_are_told_apart() -> None:
    """A load run that was not answered at its rate is not met, whatever did not fail."""
    answers = [Answer(number / RATE, number / RATE + 0.02) for number in range(10 * RATE)]
    good = judge(answers, (0, 10), [(2, 3), (5, 6)])
    assert good.good
    assert "0 failed of 5000 in 10 s (500/s of 500)" in good.value
    assert not judge(answers[::2], (0, 10), [(2, 3)]).good
    assert not judge([*answers, Answer(4, 4, ok=False)], (0, 10), [(2, 3)]).good
