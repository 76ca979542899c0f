"""Judges what a service's address answers: since when has every answer been the right one?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from immutable_servers.contract.front import Reply
from immutable_servers.text.printable import shorten

LONGEST_NAME = 60
"""Characters of a name that are shown: whoever answers says what it likes."""

WORTH_SAYING = 1.0
"""Seconds of right answers alone that the progress speaks of."""
NAMELESS = "from servers that do not name their generation"


@dataclass
class Tally:
    """The answers since traffic was moved, or taken away.

    An answer is of whom it names. Servers of one generation all name it, or none does: where some
    answers name the right one, those that name nobody are somebody else's.

    Attributes:
        name: A generation as its servers name it, such as `web-3f2a9c41`.
        began: Before the balancer was asked to move, in seconds of the monotonic clock.
        since: From when on all answers were right, so far: at first when the balancer's API had
            answered.
        leaving: Right is what is not from `name`, also a failed answer; else what is from it.
        heard: Something came back, if only a refusal.
        quiet: Seconds for which all questions have been answered rightly.
    """

    name: str
    began: float
    since: float
    leaving: bool = False
    heard: bool = False
    quiet: float = 0.0
    count: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    _named: bool = False
    _last_unnamed: float = 0.0

    def take(self, replies: Sequence[Reply], asked: float, now: float) -> None:
        """Count the answers to a round of questions of the moment `asked`."""
        faults = [self._find_fault(reply) for reply in replies]
        answers = [reply for reply in replies if not reply.failure]
        self.count += len(replies)
        self.heard = self.heard or not all(reply.silent for reply in replies)
        self.wrong.update(fault for fault in faults if fault)
        self._named = self._named or any(
            reply.names and not fault for reply, fault in zip(replies, faults, strict=True)
        )
        unnamed = sum(not reply.names for reply in answers)
        if unnamed:
            self._last_unnamed = now
        if unnamed and self._named:
            self.wrong[NAMELESS] += unnamed
        if any(faults):
            self.since = now
        if self._named:
            self.since = max(self.since, self._last_unnamed)
        self.quiet = asked - self.since

    def describe(self) -> str:
        """Return such as `2 of 14 answers still from 3f2a9c41`; empty when all were right."""
        said = (f"{times} of {self.count} answers {fault}" for fault, times in self.wrong.items())
        return ", ".join(said)

    def describe_progress(self, settle: float) -> str:
        """Return what was wrong so far, and for how much of the time to settle nothing has been."""
        wrong = self.describe()
        if self.quiet < WORTH_SAYING:
            return wrong
        last = f"in the last {self.quiet:.0f} of {settle:.0f} s"
        return f"{wrong}, none {last}" if wrong else f"all answers were right {last}"

    def _find_fault(self, reply: Reply) -> str:
        others = [name for name in reply.names if (name == self.name) == self.leaving]
        if others:
            service = self.name.rpartition("-")[0]
            return f"still from {shorten(others[0].removeprefix(f'{service}-'), LONGEST_NAME)}"
        return f"failed ({reply.failure})" if reply.failure and not self.leaving else ""
