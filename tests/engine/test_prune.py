"""`prune` on the real engine: what any stack of any checkout needs stays."""

from pathlib import Path

from harness.engine.project import Project

ALL = ("prune", "--keep", "0", "--older-than", "0s")


def list_images(project: Project) -> set[str]:
    """Return the ids of the images that the world has."""
    return {f"{one.stem}" for one in (project.world / "images").glob("*.json")}


def bake(project: Project, text: str) -> str:
    """Serve another source; return the image that this baked."""
    before = list_images(project)
    project.edit("app/server.txt", text)
    done = project.up()
    assert done.code == 0, done.text
    (made,) = {one for one in list_images(project) - before if "app" in one}
    return made


def start_other(serving: Project, folder: Path) -> Project:
    """Return a checkout of its own, with a state of its own, whose stack is at the same target."""
    folder.mkdir()
    other = Project.create(folder)
    other.world.rmdir()
    other.world.symlink_to(serving.world)
    (other.root / "Pulumi.dev.yaml").unlink()
    other.stack, other.services = "qa", {"api": other.services["web"]}
    other.write_settings()
    other.pulumi("stack", "init", "qa")
    return other


def test_what_nothing_refers_to_is_deleted_and_nothing_else(
    serving: Project, tmp_path: Path
) -> None:
    """A dry run and a run without a yes delete nothing; the newest and the young stay by default.

    A retired generation keeps no image: to go back to it is refused then, in plain words.
    """
    (base, first) = sorted(list_images(serving), key=lambda one: "app" in one)
    retired = serving.live()
    standby, live = bake(serving, "two"), bake(serving, "three")
    other = start_other(serving, tmp_path / "other")
    theirs = bake(other, "four")
    everything = {base, first, standby, live, theirs}
    fleets = set(serving.fleets())

    for words, code in ((("prune",), 0), ((*ALL, "--dry-run"), 0), (ALL, 2)):
        done = serving.drive(*words)
        assert done.code == code, done.text
        assert list_images(serving) == everything
        assert (first.partition("-")[2] in done.text) is (words != ("prune",)), done.text
    done = serving.drive(*ALL, "--yes")
    assert done.code == 0, done.text
    assert list_images(serving) == everything - {first}
    assert "qa: api-" in done.text
    assert set(serving.fleets()) == fleets
    assert "There is no image that can go" in serving.drive(*ALL, "--yes").text
    refused = serving.drive("rollback", "dev", "web", "--to", retired, "--why", "bad")
    assert refused.code == 2
    assert "catalog" in refused.text
    serving.ask_three_questions()
    other.ask_three_questions("api")

    assert other.destroy().code == 0
    assert serving.drive(*ALL, "--yes").code == 0
    assert list_images(serving) == {base, standby, live}


def test_what_a_pin_goes_back_to_stays(serving: Project) -> None:
    """Its servers are lost, and the checkout cannot bake it: a later run launches it again."""
    first, image = serving.live(), next(one for one in list_images(serving) if "app" in one)
    left = bake(serving, "two")
    assert serving.drive("rollback", "dev", "web", "--why", "bad").code == 0
    bake_of_checkout = serving.root / "app/server.txt"
    bake_of_checkout.write_text("three")
    serving.services["web"]["keep"] = 0
    serving.write_settings()
    assert serving.up().code == 0
    assert serving.live() == first
    assert serving.drive(*ALL, "--yes").code == 0
    assert image in list_images(serving)
    assert left not in list_images(serving)
    serving.ask_three_questions()
