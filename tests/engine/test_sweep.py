"""What runs that died have left, and whose it is: the driver's `sweep` on the real engine."""

import json
import shutil
from pathlib import Path

from engine.test_driver_preview import drive
from harness.engine.project import Project


def assert_nothing_is_left(project: Project) -> None:
    """Assert that sweep has nothing to list."""
    done = drive(project, "sweep", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Nothing is left over" in done.stderr, done.stdout


def kill(project: Project) -> None:
    """Have the engine killed while it launches a fleet, and take its lock away."""
    project.set_fault("half launch: kill engine")
    assert project.up().code != 0
    project.pulumi("cancel", "--yes", "-s", "dev")


def test_an_update_after_a_kill_leaves_nothing_to_sweep(serving: Project) -> None:
    """The same source takes up what the killed run made, the reverted one removes it.

    A fleet that the state does not know is left over: listed without a yes, removed with it.
    """
    first = serving.live()
    serving.edit("app/server.txt", "two")
    kill(serving)
    assert serving.up().code == 0
    assert_nothing_is_left(serving)
    second = serving.live()
    serving.edit("app/server.txt", "three")
    kill(serving)
    assert set(serving.fleets()) > {first, second}
    serving.put_back("app/server.txt")
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    assert set(serving.fleets()) == {first, second}
    assert_nothing_is_left(serving)

    lost = serving.world / "fleets/web-deadbeef"  # of a state that was rolled back by hand
    shutil.copytree(serving.world / f"fleets/web-{first}", lost)
    spec = (lost / "spec.json").read_text()
    (lost / "spec.json").write_text(spec.replace(first, "deadbeef"))
    refused = drive(serving, "sweep")
    assert refused.returncode == 2, refused.stderr
    assert "web-deadbeef" in refused.stdout
    assert "--yes" in refused.stderr
    assert lost.exists()
    done = drive(serving, "sweep", "--yes")
    assert done.returncode == 0, done.stderr
    serving.assert_serving()
    assert serving.up().changes == {}
    assert set(serving.fleets()) == {first, second}


def test_two_checkouts_do_not_share_a_stack(serving: Project, tmp_path: Path) -> None:
    """The second is refused, in its preview too, until the first's state holds the stack no more.

    It then takes over what serves: no bake, no boot, and a warning that names the first. When that
    state was on another machine, nobody knows that it is gone.
    """
    assert serving.up().code == 0  # the copy records its own state
    live = serving.live()
    other = serving.copy_to(tmp_path / "other")
    shutil.rmtree(other.world)
    other.world.symlink_to(serving.world)
    for done in (other.preview(), other.up()):
        done.assert_failed("belongs to another checkout", f"{serving.root}", "IMMUTABLE_TAKE_OVER")
    assert serving.up().changes == {}
    (tmp_path / "state").rename(tmp_path / "state-that-is-gone")
    owner = serving.world / "owners" / "immutable-servers-dev.json"
    here = owner.read_text()
    owner.write_text(json.dumps({**json.loads(here), "machine": "0123456789ab", "host": "anna"}))
    for done in (other.preview(), other.up()):
        done.assert_failed("belongs to another checkout", f"{serving.root} on anna, with its state")
    owner.write_text(here)
    done = other.up()
    assert done.code == 0, done.text
    assert f"taken over from {serving.root}" in done.text
    assert not done.changes, done.steps
    assert other.live() == live
    assert "taken over" not in other.up().text
