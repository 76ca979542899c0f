"""`sweep`: what it lists, what it removes, and what it leaves to be named."""

import os
import time
from pathlib import Path

import pytest

from immutable_servers.contract.ownership import Leftover
from immutable_servers.driver.commands.left_in_project import find_in_project, remove_from_project
from immutable_servers.driver.commands.sweep import choose
from immutable_servers.errors import SettingsError

SURE = Leftover("fleet", "shop/dev/web-aaaaaaaa", "unknown")
UNSURE = Leftover("stack", "shop/prod", "not asked", sure=False)


def test_what_is_not_sure_has_to_be_named() -> None:
    """Without a name it stays; a name that is no leftover's is refused, and nothing is removed."""
    assert choose([SURE, UNSURE], ()) == [SURE]
    assert choose([SURE, UNSURE], ["shop/prod"]) == [SURE, UNSURE]
    with pytest.raises(SettingsError, match="shop/qa is not left over"):
        choose([SURE, UNSURE], ["shop/prod", "shop/qa"])
    with pytest.raises(SettingsError, match="Nothing is"):
        choose([], ["shop/qa"])


def test_copies_of_dead_bakes_and_old_reports_of_the_checkout(tmp_path: Path) -> None:
    """A report goes a week after the last word was written to it; reports of now stay."""
    copy = tmp_path / ".immutable/bakes/app-3f2a9c41d0e7.1.1.x1y2z3"
    copy.mkdir(parents=True)
    reports = tmp_path / ".immutable/reports"
    for name, days in (("dev-web-aaaaaaaa", 8), ("dev-web-bbbbbbbb", 6)):
        (reports / name).mkdir(parents=True)
        (reports / name / "report.xml").write_text("<testsuites/>")
        moment = time.time() - days * 24 * 3600
        for path in (reports / name / "report.xml", reports / name):
            os.utime(path, (moment, moment))
    found = list(find_in_project(tmp_path))
    assert [(one.kind, Path(one.name).name) for one in found] == [
        ("copy of a bake", copy.name),
        ("report", "dev-web-aaaaaaaa"),
    ]
    assert [remove_from_project(tmp_path, one) for one in found] == [True, True]
    assert [remove_from_project(tmp_path, one) for one in found] == [False, False]
    assert remove_from_project(tmp_path, SURE) is None
    assert [path.name for path in reports.iterdir()] == ["dev-web-bbbbbbbb"]
