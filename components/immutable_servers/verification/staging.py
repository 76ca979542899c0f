"""Copies the checks for a run, and lets it find nothing else of the project.

The copy's digest is compared with the planned one, so that what ran is what the ledger says. A
module, a link or a file outside of the checks' folders is in no digest, so it is in no run either.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.errors import VerificationError
from immutable_servers.identity.checks import copy_checks

MISSING = re.compile(
    r"No module named '|attempted relative import|cannot import name '.*\(unknown location\)"
)
"""Python's words for a module that is not there."""


UNHEARD = re.compile(r"'[^']*' not found in `markers`")
"""Pytest's words for a marker that nobody declared."""

MARKERS = (
    "Known are pytest's own markers and `eventually`. Declare others in a conftest.py beside the"
    ' checks (`config.addinivalue_line("markers", "…")`): pytest.ini, tox.ini, setup.cfg and'
    " pyproject.toml have no part in the run."
)

NO_FIXTURE = re.compile(r"fixture '[^']*' not found")


@dataclass(frozen=True)
class Group:
    """Checks that run in a process of their own, where no other folder's modules are in the way.

    Attributes:
        folder: Where they lie.
        places: The folder itself, or files in it.
        apart: Folders below it that are groups of their own.
    """

    folder: Path
    places: tuple[Path, ...]
    apart: tuple[Path, ...] = ()


@dataclass(frozen=True)
class StagedChecks:
    """The copy of a run's checks, with the folders' places within the project.

    Attributes:
        top: The copy's place of the project's root: where the checks run.
        folders: The copies of the folders, or files.
        project: The root that they were copied from.
    """

    top: Path
    folders: tuple[Path, ...]
    project: Path

    @property
    def common(self) -> Path:
        """The folder that all of them lie in: names of checks and `conftest.py` count from it."""
        return Path(os.path.commonpath([group.folder for group in self.make_groups()]))

    def make_groups(self) -> tuple[Group, ...]:
        """Return the checks by folder, in the order of the settings; each check is in one group."""
        whole = {place for place in self.folders if place.is_dir()}
        grouped: dict[Path, list[Path]] = {}
        for place in dict.fromkeys(self.folders):
            if place in whole:
                grouped[place] = [place]
            elif not whole.intersection(place.parents):
                grouped.setdefault(place.parent, []).append(place)
        return tuple(
            Group(
                folder,
                tuple(places),
                tuple(sorted(other for other in whole if folder in other.parents)),
            )
            for folder, places in grouped.items()
        )

    def name_places(self, text: str) -> str:
        """Return a text of the run with the project's places instead of the copy's."""
        return text.replace(str(self.top), str(self.project))

    def explain(self, message: str) -> str:
        """Return a check's message, with what to do when it misses a file of the project."""
        if UNHEARD.search(message):
            return f"{message}\n{MARKERS}"
        if NO_FIXTURE.search(message) and (outside := self._find_conftests()):
            return (
                f"{message}\nA conftest.py above the folders of checks has no part in the run: list"
                f" {' or '.join(outside)} under `checks` too, when the fixture is there."
            )
        lost = "No such file or directory" in message and str(self.project) in message
        if not (lost or MISSING.search(message)):
            return message
        named = ", ".join(str(folder.relative_to(self.top)) for folder in self.folders)
        return (
            f"{message}\nChecks see a copy of {named}, and nothing else of the project: list the"
            " folder of what is missing under `checks` too."
        )

    def _find_conftests(self) -> list[str]:
        """Return those of the project that lie above the checks, and that no copy was made of."""
        above = {parent for folder in self.folders for parent in folder.parents}
        places = [place for place in sorted(above) if place.is_relative_to(self.top)]
        found = [(place / "conftest.py").relative_to(self.top) for place in places]
        return [
            str(path)
            for path in found
            if (self.project / path).exists() and not (self.top / path).exists()
        ]


@contextmanager
def start_run_folder(report_dir: Path) -> Iterator[Path]:
    """Yield an empty private folder and remove it, also one that a killed run has left."""
    folder = report_dir / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stage_checks(
    checks: Sequence[Path], project: Path, destination: Path, planned: str = ""
) -> StagedChecks:
    """Copy the checks to a folder, each to its place below the project's root.

    Args:
        checks: Folders or files below `project`.
        project: The project's root.
        destination: An empty folder, or none yet.
        planned: The digest that the plan had of them; empty compares nothing.

    Raises:
        VerificationError: They are not there, changed since, or a link leads out of them.
        ImageError: A file cannot be read or copied.
    """
    _refuse_missing(checks)
    top, root = destination.resolve(), project.absolute()
    copies = {check: top / check.absolute().relative_to(root) for check in checks}
    found = copy_checks(copies)
    if planned and found != planned:
        raise VerificationError(
            "The checks changed while the run was under way",
            facts=[f"Planned: checks {planned}", f"The checkout now: checks {found}"],
            todo="Run the command again when nobody is editing the files.",
        )
    _refuse_links(top, root)
    return StagedChecks(top, tuple(copies.values()), root)


def _refuse_missing(checks: Sequence[Path]) -> None:
    missing = [str(path) for path in checks if not path.exists()]
    if missing or not checks:
        raise VerificationError(
            "There are no checks to run",
            facts=[f"{path} does not exist" for path in missing] or ["No folder is named."],
            todo="Correct `checks` of the service in the stack file.",
        )


def _refuse_links(top: Path, root: Path) -> None:
    """Refuse links to what is not in the copy: no digest covers it. Links to nothing may stay."""

    def leads_out(link: Path) -> bool:
        # Not `Path.resolve`, which raises for a link to itself.
        inside = Path(os.path.realpath(link)).is_relative_to(top)
        there = os.path.exists(root / link.relative_to(top))  # noqa: PTH110 - for the same reason
        return not inside or (there and not os.path.exists(link))  # noqa: PTH110

    links = (path for path in sorted(top.rglob("*")) if path.is_symlink())
    out = [path for path in links if leads_out(path)]
    if out:
        raise VerificationError(
            "A link leads out of the checks' folders",
            facts=[f"{path.relative_to(top)} -> {path.readlink()}" for path in out],
            todo="Put the file in its place, or list the folder that it is in under `checks` too.",
        )
