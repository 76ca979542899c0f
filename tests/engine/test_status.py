"""`status` on the real engine: what it says of a change by hand is what `up` then does."""

import json
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from engine.test_driver_preview import drive
from harness.engine.project import ROOT, Project
from immutable_servers.driver.commands.status.models import SCHEMA_FILE


def ask_status(project: Project, *, differs: bool) -> dict[str, Any]:
    """Return the status of the one service, after its data and its exit code were checked."""
    done = drive(project, "status", "--json", "-", "--exit-code")
    assert done.returncode == (20 if differs else 0), done.stderr or done.stdout
    found = json.loads(done.stdout)
    Draft202012Validator(json.loads((ROOT / SCHEMA_FILE).read_text())).validate(found)
    assert found["notes"] == []
    (service,) = found["services"]
    return dict(service)


def test_what_was_changed_by_hand_is_told_and_then_mended(serving: Project) -> None:
    """A server that is gone, one that was added, and a balancer that points elsewhere.

    Asking changes nothing; after the next `up` nothing differs, and the source is told apart from
    what was done by hand.
    """
    first = serving.live()
    calm = ask_status(serving, differs=False)
    (live,) = calm["generations"]
    assert (live["id"], live["state"], live["traffic"]) == (first, "live", 100)
    assert [server["healthy"] for server in live["servers"]] == [True, True]
    assert (calm["drift"], calm["source"]["move"]) == ([], "nothing")

    fleet = serving.world / f"fleets/web-{first}"
    (fleet / "server-1").rename(fleet / "server-7")
    changed = ask_status(serving, differs=True)
    assert [(one["kind"], one["then"]) for one in changed["drift"]] == [
        ("missing", "makes it again, sealed"),
        ("added", "removes it"),
    ]
    assert {event["event"] for event in serving._read_new()} <= {"catalog"}
    assert serving.up().code == 0
    assert {file.name for file in fleet.glob("server-*")} == {"server-0", "server-1"}

    serving.edit("app/server.txt", "two")
    wished = ask_status(serving, differs=False)["source"]
    assert wished["move"] == "replace"
    assert wished["why"]
    assert serving.up().code == 0
    second = serving.live()
    assert second == wished["desired"]
    (serving.world / "traffic/web.json").write_text(json.dumps({first: 100}))
    moved = ask_status(serving, differs=True)
    (drift,) = moved["drift"]
    assert drift["kind"] == "traffic"
    assert drift["what"].startswith(f"the balancer sends 100 % to {first};")
    assert drift["then"] == f"moves it to generation {second}"
    text = drive(serving, "status")
    assert text.returncode == 0, text.stderr
    assert f"web: changed by hand: {drift['what']}" in text.stdout
    assert serving.up().code == 0
    assert serving.live() == second
    ask_status(serving, differs=False)
