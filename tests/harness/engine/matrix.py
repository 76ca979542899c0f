"""The failure matrix: a case a row, with what is changed, what goes wrong, and what must hold.

After each case the same source, the reverted one and a third one are run, and after each of those
the three questions are asked; `test_matrix.py` plays them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.engine.folders import remove_folder
from harness.engine.project import Project
from immutable_servers.ledger.records import UNKNOWN

Step = Callable[[Project], None]
SOURCE = "app/server.txt"
CHECKS = "tests/servers/test_sample.py"
SAME, REVERTED, THIRD = "same", "reverted", "third"
ALL = (SAME, REVERTED, THIRD)


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        name: What goes wrong.
        fault: `MOMENT: WHAT` of `harness.engine.faults`, empty where `change` is all that does.
        times: How often it happens.
        words: What is given to `pulumi up`.
        keep: How many standbys are kept: none, so that the old fleet is deleted in the same run.
        change: What is done before the run.
        harms: The change takes something from what serves.
        runs: How often it is run while the fault lasts.
        works: The run succeeds all the same.
        says: What the run says.
        moved: Another generation serves after it.
        lost: The old generation cannot be had back; its source gets another round.
        bakes: What the same source still has to bake.
        boots: How many servers each next source still has to boot, but a third one: that has two.
        fails: The next sources that cannot work; what served goes on serving.
        follows: The next sources.
    """

    name: str
    fault: str = ""
    times: int = 1
    words: Sequence[str] = ()
    keep: int = 1
    change: Step = lambda project: project.edit(SOURCE, "two")
    harms: bool = False
    runs: int = 1
    works: bool = False
    says: str = ""
    moved: bool = False
    lost: bool = False
    bakes: int | None = 0
    boots: tuple[int, int] = (0, 0)
    fails: Sequence[str] = ()
    follows: Sequence[str] = ALL


def lose_server(project: Project) -> None:
    """Delete a server that serves, by hand."""
    next(project.live_fleet().glob("server-*"), project.world / "none").unlink(missing_ok=True)


def lose_fleet(project: Project) -> None:
    """Delete the fleet that serves, by hand."""
    remove_folder(project.live_fleet())
    project.note("lost", service="web", generation=project.live())


def lose_idle_fleets(project: Project) -> None:
    """Delete every fleet that does not serve, by hand: the seals of their ids seal nothing."""
    pointers = (project.world / "traffic").glob("*.json")
    serving = {project.live_fleet(pointer.stem) for pointer in pointers}
    for folder in sorted(set((project.world / "fleets").iterdir()) - serving):
        remove_folder(folder)
        service, _, generation = folder.name.rpartition("-")
        project.note("lost", service=service, generation=generation)


def lose_artifacts(project: Project) -> None:
    """Delete every image, by hand."""
    for file in (project.world / "images").glob("*.json"):
        file.unlink()


def lose_artifacts_and_resize(project: Project) -> None:
    """Delete every image, and ask for what needs one of them."""
    lose_artifacts(project)
    project.services["web"]["size"] = "medium"
    project.write_settings()


def lose_artifacts_and_server(project: Project) -> None:
    """Delete every image, and a server, which cannot be made again from any."""
    lose_artifacts(project)
    lose_server(project)


def lose_artifacts_and_promise(project: Project) -> None:
    """Delete every image, and change a check, which wants a fresh server."""
    lose_artifacts(project)
    project.edit(CHECKS, "# more")


def upgrade(project: Project) -> None:
    """Upgrade the program: it shapes servers differently."""
    project.code = "2"
    project.write_settings()


def promise_two(project: Project) -> None:
    """Change the application and its checks in one commit."""
    project.edit(SOURCE, "two")
    text = (project.root / CHECKS).read_text()
    assert text.endswith("not in server.read_text()\n")
    project.edit(CHECKS, '    assert "two" in server.read_text()')


def rename_stack(project: Project) -> None:
    """Give the stack another name."""
    project.pulumi("stack", "rename", "renamed", "-s", "dev")
    project.stack = "renamed"


def rename_service(project: Project) -> None:
    """Give the service another name in the settings."""
    project.services["site"] = project.services.pop("web")
    project.write_settings()


def spoil_ledger(old: str, new: str) -> Step:
    """Return the step that edits the ledger's record of what serves in the state, by hand."""

    def change(project: Project) -> None:
        live = project.live()
        project.edit_state(old.replace("LIVE", live), new.replace("LIVE", live))
        project.edit(SOURCE, "two")

    return change


BEGUN = {"before bake": (1, 2), "after key": (None, 2), "half launch": (0, 1)}
"""What a run leaves to bake and to boot, by the moment at which it goes wrong; after these, two.

A key is made beside the bake, which may or may not have begun."""
MOVED = ("after traffic", "in settling")
"""Moments at which the balancer points to the new generation."""
DONE = ("after launch", "before login", "after seal", "before traffic", *MOVED)
"""Moments at which all servers have booted."""


def make_update(moment: str, what: str, **more: object) -> Case:
    """Return the case of an update in which something goes wrong at a moment."""
    says = f"It went wrong {moment}" if what == "refuse" else ""
    bakes, boots = BEGUN.get(moment, (0, 0 if moment in DONE else 2))
    fields = {
        "moved": moment in MOVED,
        "says": says,
        "bakes": bakes,
        "boots": (boots, 0),
        **more,
    }
    return Case(f"update: {moment}: {what}", f"{moment}: {what}", **fields)  # type: ignore[arg-type]


def make_delete(moment: str, what: str) -> Case:
    """Return the case of a delete that goes wrong: of the old fleet, once traffic has moved.

    A fleet whose delete has begun is deleted to the end, and made again for its source.
    """
    begun = moment in ("half delete", "after delete")
    return Case(
        f"delete: {moment}: {what}",
        f"{moment}: {what}",
        keep=0,
        moved=True,
        lost=begun,
        boots=(0, 2 * begun),
    )


def make_break(words: Sequence[str], says: str = "", **more: object) -> Case:
    """Return the case of a candidate that can never pass, under some flags."""
    name = f"broken: {' '.join(words) or 'a plain run'}"
    follows = (REVERTED, THIRD) if words else ALL
    fields = {"words": words, "says": says, "fails": (SAME,), "follows": follows, **more}
    return Case(name, change=Project.break_app, **fields)  # type: ignore[arg-type]


UPDATES = (
    make_update("before question", "refuse", bakes=1),
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
    make_update("half launch", "interrupt engine", boots=(0, 0)),
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
    make_update("in settling", "refuse"),
    make_update("in settling", "kill engine"),
    make_update("in settling", "kill provider"),
    make_update("in settling", "interrupt engine"),
    make_update("in settling", "kill engine", keep=0),
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
BREAKS = (
    make_break((), "test_app_is_not_broken"),
    make_break(("--exclude", "**Verification::web-*")),
    make_break(("--exclude", "**Traffic::web")),
    make_break(("--exclude", "**Seal::web-*")),
    make_break(("--exclude", "**Retirement::web-*")),
    make_break(("--exclude", "**InstantFleet::web-*")),
    make_break(("--exclude", "**Access::web-*")),
    make_break(("--exclude", "**Image::app"), "leaves out the image app"),
    make_break(("--target", "**Traffic::web")),
    make_break(("--target", "**Image::app"), works=True),
    make_break(("--replace", "**Release::web")),
    make_break(("--refresh",)),
    make_break(("--continue-on-error",), "test_app_is_not_broken"),
)
BY_HAND = (
    Case("a server deleted by hand", change=lose_server, harms=True, works=True),
    Case(
        "a fleet deleted by hand", change=lose_fleet, harms=True, works=True, moved=True, lost=True
    ),
    Case("artifacts deleted by hand", change=lose_artifacts, works=True),
    Case(
        "artifacts deleted, another size", change=lose_artifacts_and_resize, works=True, moved=True
    ),
    Case("artifacts deleted, another check", change=lose_artifacts_and_promise, works=True),
    Case(
        "artifacts deleted, and a server",
        change=lose_artifacts_and_server,
        harms=True,
        works=True,
        moved=True,
        lost=True,
    ),
    Case("the program upgraded", change=upgrade, works=True, moved=True),
    Case(
        "app and checks in one commit, then only the app",
        change=promise_two,
        works=True,
        moved=True,
        fails=(REVERTED, THIRD),
    ),
    Case("the stack renamed", change=rename_stack, says="was renamed", fails=ALL),
    Case("the service renamed", change=rename_service, says="it serves", fails=(SAME,)),
    Case(
        "a ledger edited by hand",
        change=spoil_ledger('"LIVE": {', '"LIVE": 5, "x": {'),
        says="LedgerError",
        fails=ALL,
    ),
    Case(
        "a record with the engine's unknown string",
        change=spoil_ledger('"commit": ""', f'"commit": "{UNKNOWN}"'),
        works=True,
        moved=True,
    ),
)
CASES = (*UPDATES, *DELETES, *BREAKS, *BY_HAND)
ON_MACHINES = (
    make_update("half launch", "kill engine"),
    make_update("before login", "kill engine"),
    make_update("before login", "kill server"),
    make_update("before login", "kill balancer"),
)
"""Rows for `tests/local`: the run of the same source after each is the one of the next."""
