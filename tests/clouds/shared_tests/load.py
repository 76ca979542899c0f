"""The load run on an emulated cloud: front ends that follow late, and no standby to help."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import ClassVar, NamedTuple

import pytest

from harness.cloud_project import AnyProject
from immutable_bench.client import Answer, Clients, start_clients
from immutable_bench.load import wait

WANTED = 30_000
SLACK = 5.0


class Pace(NamedTuple):
    """How late and how much.

    Attributes:
        follow: The latest that a front end follows, in seconds.
        settle: For how many seconds every answer has to be the new one's.
        rate: Requests in a second to each address.
    """

    follow: float
    settle: int
    rate: int


class Load:
    """Moves under load.

    Attributes:
        scaled: A pace for every run of the tests.
        real: One that is as bad as the cloud's own.
    """

    scaled: ClassVar[Pace]
    real: ClassVar[Pace]

    @contextmanager
    def start_clients(self, address: str, rate: int) -> Iterator[Sequence[Clients]]:
        """Yield clients of each address that answers; they hold the answers later."""
        with start_clients(address, rate) as clients:
            yield [clients]

    def test_no_request_fails_while_front_ends_follow_late(self, project: AnyProject) -> None:
        """A move and a way back without a standby: every answer is a verified generation's."""
        answers = self._move(project, self.scaled, moves=2)
        assert _find_failures(answers) == []
        assert _find_early(project, answers) == []

    @pytest.mark.long
    def test_no_request_of_thirty_thousand_fails_while_late(self, project: AnyProject) -> None:
        """A move, a way back and the move again, with front ends that need their real time."""
        answers = self._move(project, self.real, moves=3, least=WANTED)
        print(f"{len(answers)} answers, {len(_find_failures(answers))} failed")  # noqa: T201
        assert _find_failures(answers) == []
        assert _find_early(project, answers) == []
        assert len(answers) >= WANTED

    def _move(
        self, project: AnyProject, pace: Pace, *, moves: int, least: int = 0
    ) -> Sequence[Answer]:
        """Move traffic to and fro while each address is asked; return what was answered."""
        project.services["web"] |= {"keep": 0, "settle": f"{pace.settle}s"}
        project.write_settings()
        assert project.run().code == 0
        project.cloud.set_manners(follow=pace.follow)
        lives, began = [project.live()], time.monotonic()
        with self.start_clients(project.find_address(), pace.rate) as clients:
            for number in range(moves):
                project.services["web"]["env"] = {"GREETING": f"hello {number % 2}"}
                project.write_settings()
                done = project.run()
                assert done.code == 0, done.text
                lives.append(project.live())
                assert {*project.groups()} == {lives[-1]}  # nobody else is left to answer
            wait(least / len(clients) / pace.rate - (time.monotonic() - began) + SLACK)
        assert all(before != after for before, after in pairwise(lives))
        return [answer for client in clients for answer in client.answers]


def _find_failures(answers: Sequence[Answer]) -> list[str]:
    return [answer.why for answer in answers if not answer.ok]


def _find_early(project: AnyProject, answers: Sequence[Answer]) -> list[Answer]:
    """Return answers of generations that had not been let to the traffic yet.

    That they were verified and sealed before, `assert_serving` sees.
    """
    project.assert_serving()
    clock = time.time() - time.monotonic()
    moves = [event for event in project.cloud.read_all() if event["event"] == "traffic"]
    first: dict[str, float] = {}
    for event in moves:
        for name in event["weights"]:
            first.setdefault(name.split("-")[-2], event["at"])
    return [one for one in answers if one.ok and one.at + clock < first[one.generation]]
