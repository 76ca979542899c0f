"""The failure matrix: a case a row, with what is changed, what goes wrong, and what must hold.

After each case the same source, the reverted one and a third one are run, and after each of those
the three questions are asked; `test_matrix.py` plays them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from project import Project

Step = Callable[[Project], None]
SOURCE = "app/server.txt"
SAME, REVERTED, THIRD = "same", "reverted", "third"


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        name: What goes wrong.
        fault: `MOMENT: WHAT` of `instant_faults`, empty where nothing but `change` does.
        times: How often it happens.
        words: What is given to `pulumi up`.
        keep: How many standbys are kept: none, so that the old fleet is deleted in the same run.
        change: What is done to the checkout before the run.
        runs: How often it is run while the fault lasts.
        works: The run succeeds all the same.
        says: What a run that fails says.
        moved: Traffic has moved in spite of the fault.
        broken: The changed source can never pass its checks.
        bakes: What the fault costs the reverted source.
        boots: The same.
        follows: What comes next.
    """

    name: str
    fault: str = ""
    times: int = 1
    words: Sequence[str] = ()
    keep: int = 1
    change: Step = lambda project: project.edit(SOURCE, "two")
    runs: int = 1
    works: bool = False
    says: str = ""
    moved: bool = False
    broken: bool = False
    bakes: int = 0
    boots: int = 0
    follows: Sequence[str] = (SAME, REVERTED, THIRD)


def make_update(moment: str, what: str, **more: object) -> Case:
    """Return the case of an update in which something goes wrong at a moment."""
    moved = moment == "after traffic"
    says = f"It went wrong {moment}" if what == "refuse" else ""
    fields = {"moved": moved, "says": says, **more}
    return Case(f"update: {moment}: {what}", f"{moment}: {what}", **fields)  # type: ignore[arg-type]


def make_delete(moment: str, what: str, **more: object) -> Case:
    """Return the case of a delete that goes wrong: of the old fleet, once traffic has moved.

    A fleet whose delete has begun is deleted to the end, and made again for its source.
    """
    begun = moment in ("half delete", "after delete")
    fields = {"keep": 0, "moved": True, "boots": 2 * begun, **more}
    return Case(f"delete: {moment}: {what}", f"{moment}: {what}", **fields)  # type: ignore[arg-type]


def make_break(words: Sequence[str]) -> Case:
    """Return the case of a candidate that can never pass, under some flags."""
    name = f"broken: {' '.join(words) or 'a plain run'}"
    says = "" if words else "test_app_is_not_broken"
    return Case(name, words=words, change=Project.break_app, broken=True, says=says)


UPDATES = (
    make_update("before question", "refuse"),
    make_update("before bake", "refuse"),
    make_update("before bake", "disk full", says="No space left"),
    make_update("after bake", "refuse"),
    make_update("after bake", "kill engine"),
    make_update("after key", "refuse"),
    make_update("before launch", "refuse"),
    make_update("half launch", "refuse"),
    make_update("half launch", "disk full", says="No space left"),
    make_update("half launch", "kill engine"),
    make_update("half launch", "kill provider"),
    make_update("half launch", "interrupt engine"),
    make_update("after launch", "refuse"),
    make_update("before login", "refuse", says="Verification failed"),
    make_update("before login", "refuse", times=3, runs=3, says="Verification failed"),
    make_update("before login", "kill engine"),
    make_update("after seal", "refuse"),
    make_update("after seal", "kill engine"),
    make_update("before traffic", "refuse"),
    make_update("before traffic", "kill engine"),
    make_update("after traffic", "refuse"),
    make_update("after traffic", "kill engine"),
    make_update("after traffic", "kill provider"),
    make_update("after traffic", "interrupt engine"),
)
DELETES = (
    make_delete("before drain", "refuse"),
    make_delete("before drain", "kill engine"),
    make_delete("before delete", "refuse"),
    make_delete("half delete", "refuse"),
    make_delete("half delete", "kill engine"),
    make_delete("half delete", "kill provider"),
    make_delete("after delete", "refuse"),
    make_delete("after delete", "kill engine"),
)
BREAKS = tuple(
    make_break(words)
    for words in (
        (),
        ("--exclude", "**Verification::web-*"),
        ("--exclude", "**Traffic::web"),
        ("--exclude", "**Seal::web-*"),
        ("--exclude", "**Retirement::web-*"),
        ("--exclude", "**InstantFleet::web-*"),
        ("--exclude", "**Access::web-*"),
        ("--exclude", "**Image::app"),
        ("--target", "**Traffic::web"),
        ("--target", "**Image::app"),
        ("--replace", "**Release::web"),
        ("--refresh",),
        ("--continue-on-error",),
    )
)
CASES = (*UPDATES, *DELETES, *BREAKS)
