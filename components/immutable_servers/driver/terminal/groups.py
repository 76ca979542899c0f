"""Shows a run as foldable groups in the logs of GitHub and GitLab."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.plain import Expected, Plain
from immutable_servers.text.printable import make_safe


@dataclass(frozen=True)
class Marks:
    """Render the lines that begin and end a group, from its name and title."""

    begin: Callable[[str, str], str]
    end: Callable[[str], str]


GITHUB = Marks(lambda _name, title: f"::group::{title}", lambda _name: "::endgroup::")
"""https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions"""
GITLAB = Marks(
    lambda name, title: f"\033[0Ksection_start:{time.time():.0f}:{name}\r\033[0K{title}",
    lambda name: f"\033[0Ksection_end:{time.time():.0f}:{name}\r\033[0K",
)
"""https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections"""


class Groups(Plain):
    """Opens a group for new work; groups cannot overlap, so only the last one is open."""

    def __init__(self, expected: Expected, marks: Marks) -> None:
        super().__init__(expected)
        self.marks = marks
        self.made = 0
        self.open = ""
        self.key = ("", "")

    def begin(self, work: Work) -> None:
        """Open a group, unless the one for this phase and subject is open."""
        if self.open and self.key == work.key:
            return
        self.close()
        self.made += 1
        self.key, self.open = work.key, f"immutable_{self.made}_{work.phase}"
        about = self.word_expected(work)
        title = f"{work.phase} {work.subject}{f' ({about})' if about else ''}"
        console.say_exactly(self.marks.begin(self.open, make_safe(" ".join(title.split()))))

    def close(self) -> None:
        """Close the open group."""
        if self.open:
            console.say_exactly(self.marks.end(self.open))
            self.open = ""
