"""`status` on the real engine: what it says of a change by hand is what `up` then does."""

import json
import shutil
from typing import Any

from jsonschema import Draft202012Validator

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


def test_a_candidate_whose_checks_passed_says_so(serving: Project) -> None:
    """Also when its traffic was refused, and no ledger holds its verdict."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    serving.set_fault("before traffic: refuse")
    assert serving.up().code != 0
    done = drive(serving, "status", "--json", "-")
    (service,) = json.loads(done.stdout)["services"]
    candidate = next(one for one in service["generations"] if one["id"] != first)
    assert (candidate["state"], candidate["traffic"]) == ("candidate", 0)
    assert candidate["verified"]["how"].endswith("on its servers")


def test_what_serves_is_shown_although_its_state_was_lost(serving: Project) -> None:
    """After `git clean -ffdx`, say. `up` takes up what serves, and says what goes and why."""
    first = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    second = serving.live()
    assert serving.states() == {second: "live", first: "standby"}
    state = serving.root.parent / "state"
    shutil.rmtree(state)
    state.mkdir()
    said = drive(serving, "status", "--json", "-")
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert "the state knows nothing of these servers" in found["notes"][0]
    (service,) = found["services"]
    assert service["address"]
    assert {one["id"]: one["traffic"] for one in service["generations"]} == {second: 100, first: 0}
    gone = f"generation {first} goes: the state does not know it"
    assert gone in drive(serving, "preview").stdout
    done = serving.up()
    assert (done.code, serving.live()) == (0, second), done.text
    assert gone in done.text
    serving.ask_three_questions()


def test_another_checkouts_stack_is_not_shown_as_this_ones(serving: Project) -> None:
    """It has the same name, and its owner's record says whose it is."""
    assert serving.up().code == 0
    (owner,) = (serving.world / "owners").iterdir()
    owner.write_text(owner.read_text().replace(str(serving.root), "/home/anna/shop"))
    state = serving.root.parent / "state"
    shutil.rmtree(state)
    state.mkdir()
    said = drive(serving, "status")
    assert said.returncode == 0, said.stderr
    assert "The stack dev holds nothing" in said.stderr
