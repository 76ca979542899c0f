"""What is revoked is never launched; what serves goes on serving."""

import json

import pytest

from harness.engine.matrix import lose_server
from harness.engine.project import Outcome, Project
from harness.engine.watcher import start_watching

SOURCE, CHECKS = "app/server.txt", "tests/servers/test_sample.py"


def revoke(project: Project, image: str, generation: str) -> str:
    """Mark the image of a generation, as somebody who found a hole in it; return its version."""
    version: str = project.ledger()["generations"][generation]["images"][image]
    file = project.world / "images" / f"{image}-{version}.json"
    artifact = json.loads(file.read_text())
    artifact["facts"]["marks"] = {"revoked": "a hole"}
    file.write_text(json.dumps(artifact))
    return version


def assert_refused(project: Project, *words: str) -> None:
    """Assert that preview and update say so, and that nothing was launched or moved."""
    live, fleets = project.live(), project.fleets()
    for run in (project.preview, project.up):
        done = run()
        done.assert_failed("is revoked (a hole)", "Raise the counter `rebuild`", *words)
        assert_quiet(done)
    assert (project.live(), project.fleets()) == (live, fleets)


def assert_quiet(done: Outcome) -> None:
    """Assert that nothing was done."""
    done_to = {event["event"] for event in done.events} - {"catalog"}
    assert not done_to, done.text


def resize(project: Project) -> None:
    """Ask for servers of another size."""
    project.services["web"]["size"] = "medium"


def grow(project: Project) -> None:
    """Ask for another server of what serves."""
    project.services["web"]["servers"] = 3


def add_service(project: Project) -> None:
    """Ask for another service of the same image, which serves nobody yet."""
    project.services["api"] = {**project.services["web"], "route": {"port": 8081}}


def age(project: Project) -> None:
    """Ask for a new round of what is old."""
    project.services["web"]["max_age"] = "1s"


def promise(project: Project) -> None:
    """Change a check, which wants a fresh server."""
    project.edit(CHECKS, "# one more promise")


def rewrite(project: Project) -> None:
    """Change the application, which wants a child of the same base."""
    project.edit(SOURCE, "two")


ASKED = {
    "app": (resize, grow, add_service, age, promise),
    "base": (resize, rewrite),
}


@pytest.mark.parametrize("image", ASKED)
def test_nothing_is_launched_from_what_is_revoked(serving: Project, image: str) -> None:
    """Of the image or of its parent, whatever asks for it; another version is the way out."""
    version = revoke(serving, image, serving.live())
    for ask in ASKED[image]:
        serving.revert_settings(keep=1)
        ask(serving)
        serving.write_settings()
        assert_refused(serving, f"image {image} {version}", f"update {image} --rebuild")
        serving.put_back(SOURCE)
        serving.put_back(CHECKS)
    serving.revert_settings(keep=1)
    for words in (("replace", "dev", "web", "--why", "it leaks"), ("verify", "web")):
        done = serving.drive(*words)
        done.assert_failed("is revoked (a hole)")
        assert_quiet(done)

    lock = serving.root / "packer" / image / "upstream.lock.json"
    held = json.loads(lock.read_text()) if lock.exists() else {}
    lock.write_text(json.dumps({**held, "rebuild": 1}))
    old = serving.live()
    done = serving.up()
    assert (done.code, done.count("boot")) == (0, 2), done.text
    serving.ask_three_questions()

    (serving.root / "packer" / image / "upstream.lock.json").unlink()
    if held:
        lock.write_text(json.dumps(held))
    assert serving.states()[old] == "standby"
    assert_refused(serving, f"Generation {old} gets no traffic")


def test_what_serves_goes_on_and_is_repaired(serving: Project) -> None:
    """Its servers stay as many as they were, with a warning in each run that says the way out."""
    version = revoke(serving, "app", serving.live())
    said = f"serves, and its image app {version} is revoked (a hole): raise its counter `rebuild`"
    done = serving.up()
    assert (done.code, done.changes) == (0, {}), done.text
    assert said in done.text
    with start_watching(serving.world) as watcher:
        watcher.excused.add(serving.live())
        lose_server(serving)
        done = serving.up()
    assert (done.code, done.count("boot")) == (0, 1), done.text
    assert said in done.text
    serving.ask_three_questions()
