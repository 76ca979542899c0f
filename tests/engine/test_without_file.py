"""A stack whose file is gone, by `rm` or a checkout: its state is enough to show and end it."""

from harness.engine.project import Project


def lose_file(project: Project) -> None:
    """Check out another branch, which has a stack of another name."""
    (project.root / "Pulumi.dev.yaml").rename(project.root / "Pulumi.other.yaml")


def test_it_is_shown_and_destroyed(serving: Project) -> None:
    """What needs settings is refused and names the ways; destroy leaves the images, and no file."""
    live = serving.live()
    lose_file(serving)
    for words in (
        ("up", "dev"),
        ("preview", "dev"),
        ("rollback", "dev", "--why", "slow"),
        ("verify", "--stack", "dev"),
        ("retire", "dev"),
    ):
        refused = serving.drive(*words)
        assert refused.code == 2, refused.text
        assert "The stack 'dev' has no file" in refused.text
        assert "`./immutable status dev`, `logs` and `destroy dev` work" in refused.text
    shown = serving.drive("status", "dev")
    assert shown.code == 0, shown.text
    assert live in shown.text
    assert "healthy" in shown.text
    assert "the source would change is not known: The stack 'dev' has no file" in shown.text
    assert f"web-{live}-0 | version one" in serving.drive("logs", "web", "--stack", "dev").text
    assert serving.drive("destroy", "dev").code == 2
    assert set(serving.fleets()) == {live}
    done = serving.drive("destroy", "dev", "--yes", "--remove")
    assert done.code == 0, done.text
    assert serving.fleets() == {}
    assert len(list((serving.world / "images").glob("*.json"))) == 2
    assert not (serving.root / "Pulumi.dev.yaml").exists()
    assert "There is no stack 'dev'" in serving.drive("status", "dev").text


def test_sweep_lists_it_and_ends_it_when_it_is_named(serving: Project) -> None:
    """It serves, and its file may be on another branch: a yes alone leaves it."""
    live = serving.live()
    assert serving.up().code == 0  # the copy records its own state
    assert "Nothing is left over" in serving.drive("sweep", "--yes").text
    lose_file(serving)
    for stack in ("other", "dev"):
        listed = serving.drive("sweep", stack, "--yes")
        assert listed.code == 0, listed.text
        assert "stack without a file" in listed.text
        assert "--also NAME" in listed.text
    assert set(serving.fleets()) == {live}
    done = serving.drive("sweep", "other", "--also", "dev", "--yes")
    assert done.code == 0, done.text
    assert "stack without a file dev: removed" in done.text
    assert serving.fleets() == {}
    assert "Nothing is left over" in serving.drive("sweep", "other").text
