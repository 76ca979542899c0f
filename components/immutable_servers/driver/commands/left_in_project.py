"""Finds and removes leftovers in the checkout itself: copies of dead bakes, old reports."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from immutable_servers.contract.ownership import Leftover
from immutable_servers.images.staging import find_left_stagings
from immutable_servers.system.places import PROJECT_FOLDER

KEPT_SECONDS = 7 * 24 * 3600
COPY, REPORT = "copy of a bake", "report"


def find_in_project(root: Path) -> Iterator[Leftover]:
    """Yield the leftovers below `.immutable/`."""
    ours = root / PROJECT_FOLDER
    for folder in find_left_stagings(root):
        yield _describe(root, folder, COPY, "who made it is gone")
    for report in sorted((ours / "reports").glob("*")):
        if _find_age(report) > KEPT_SECONDS:
            yield _describe(root, report, REPORT, "nothing was written to it for a week")


def remove_from_project(root: Path, leftover: Leftover) -> bool | None:
    """Check again and remove what `find_in_project` yielded; None for other leftovers."""
    if leftover.kind not in {COPY, REPORT}:
        return None
    if leftover.name not in {one.name for one in find_in_project(root)}:
        return False
    place = root / leftover.name
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
    return True


def _describe(root: Path, place: Path, kind: str, why: str) -> Leftover:
    size = sum(file.lstat().st_blocks * 512 for file in _walk(place))
    return Leftover(kind, str(place.relative_to(root)), why, size)


def _find_age(place: Path) -> float:
    return time.time() - max(file.lstat().st_mtime for file in [place, *_walk(place)])


def _walk(place: Path) -> list[Path]:
    return [file for file in place.rglob("*") if not file.is_dir()] if place.is_dir() else [place]
