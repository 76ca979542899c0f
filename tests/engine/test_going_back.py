"""`rollback`, `retire`, `replace` and failed candidates by the driver, on the real engine."""

import json
from pathlib import Path
from typing import Any

from harness.engine.project import Outcome, Project
from immutable_servers.contract.access import LOGIN_WINDOW

QUIET = ("bake", "boot", "probe", "traffic", "delete")


def assert_refused(done: Outcome, *words: str) -> None:
    """Assert that nothing was done, and that all of this was said."""
    said = " ".join(done.text.split())
    missing = [word for word in words if word not in said]
    assert done.code == 2, done.text
    assert not missing, f"not said: {missing}\n{done.text}"
    assert "Traceback" not in done.text
    assert not [event for event in done.events if event["event"] != "catalog"]


def count(done: Outcome) -> dict[str, int]:
    """Return how often each thing that costs something was done."""
    counted = {event: done.count(event) for event in QUIET}
    return {event: number for event, number in counted.items() if number}


def image_file(project: Project, generation: str) -> Path:
    """Return the catalog's file of a generation's image."""
    record = project.ledger()["generations"][generation]
    return project.world / "images" / f"{record['image']}-{record['version']}.json"


def mark(file: Path, **marks: str) -> None:
    """Write an artifact's marks."""
    artifact: dict[str, Any] = json.loads(file.read_text())
    artifact["facts"]["marks"] = marks
    file.write_text(json.dumps(artifact))


def test_rollback_by_command(serving: Project) -> None:
    """Each refusal has its sentence; with a dirty checkout only the one service moves."""
    web = serving.services["web"]
    serving.services["api"] = {**web, "size": "medium", "route": {"port": 8081}}
    serving.write_settings()
    assert serving.up().code == 0
    old, other = serving.live(), serving.live("api")
    web["data_version"] = "2"
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    live, api = serving.live(), serving.live("api")
    ask = ("rollback", "dev", "web", "--why", "slow")
    listed = f"{old}: standby, app "
    for to, sentence in (
        ("00000000", "The ledger of web knows no generation 00000000"),
        (other, f"Generation {other} is one of service api, not of web"),
        (live, f"Generation {live} of web is live already"),
    ):
        assert_refused(serving.drive(*ask, "--to", to), sentence, listed)
    assert_refused(
        serving.drive(*ask),
        f"Generation {old} of web works with data version none, the live one with 2",
        "Add --across-data-version",
    )
    mark(image_file(serving, old), revoked="a hole")
    across = (*ask, "--across-data-version")
    assert_refused(serving.drive(*across), f"Generation {old} of web cannot be used", "(a hole)")
    assert (serving.live(), serving.ledger()["pin"]) == (live, {})
    mark(image_file(serving, old))

    serving.edit("app/server.txt", "three")
    serving.edit("tests/servers/test_sample.py", "# one more promise")
    done = serving.drive(*across)
    assert done.code == 0, done.text
    assert count(done) == {"traffic": 1}
    assert "web went back in " in done.text
    assert (serving.live(), serving.live("api")) == (old, api)
    assert serving.ledger()["pin"]["why"] == "slow"
    sentence = "web has no standby but what the last rollback left; nothing was changed"
    assert_refused(serving.drive(*across), sentence, f"{live}: standby", "Name one of these")

    done = serving.drive("resume", "dev", "web", "--now")
    assert done.code == 0, done.text
    assert count(done)["boot"] == 2
    assert serving.live() not in (old, live)
    assert serving.live("api") == api
    serving.assert_serving()
    serving.assert_serving("api")


def test_retire_by_command(serving: Project) -> None:
    """A scheduled job at any commit deletes what is due, and nothing else; then none is left."""
    old = serving.live()
    serving.services["web"]["keep_for"] = "1h"
    serving.write_settings()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    live, services = serving.live(), dict(serving.services)
    left_at = serving.ledger()["generations"][old]["left_at"]
    serving.rewrite_state(f'"left_at": {left_at}', f'"left_at": {left_at - 3601}')

    serving.edit("app/server.txt", "three")
    serving.edit("packer/base/provision.sh", "# more")
    serving.edit("tests/servers/test_sample.py", "# one more promise")
    serving.services["web"] = {**services["web"], "servers": 3, "size": "medium"}
    serving.services["new"] = {**services["web"], "route": {"port": 8082}}
    serving.write_settings()
    done = serving.drive("retire", "dev")
    assert done.code == 0, done.text
    assert f"standby {old} was kept for long enough" in done.text
    assert (count(done), done.count("drain")) == ({"delete": 1}, 1)
    assert serving.fleets() == {live: 2}
    assert serving.states() == {live: "live", old: "retired"}

    for path in ("app/server.txt", "packer/base/provision.sh", "tests/servers/test_sample.py"):
        serving.put_back(path)
    serving.edit("app/server.txt", "two")
    serving.services = services
    serving.write_settings()
    done = serving.up()
    assert (done.code, count(done)) == (0, {}), done.text
    serving.ask_three_questions()
    assert "No standby is due" in serving.drive("retire", "dev").text

    ask = ("rollback", "dev", "--why", "slow")
    sentence = "There is no standby that web can go back to; nothing was changed"
    assert_refused(serving.drive(*ask), sentence, f"{old}: retired", "a boot, no bake")
    image_file(serving, old).unlink()
    gone = "is not in the catalog any more; nothing was changed"
    assert_refused(serving.drive(*ask, "--to", old), gone, "There is no other generation")
    serving.assert_serving()


def test_a_failed_candidate_is_removed(serving: Project) -> None:
    """With `on_failure: remove` it goes in a run of its own; what serves and stands by stays."""
    old = serving.live()
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    live = serving.live()
    serving.break_app()
    done = serving.drive("up", "dev")
    assert done.code == 6, done.text
    (failed,) = {*serving.fleets()} - {old, live}
    for words in (
        "test_app_is_not_broken",
        f"web-{failed}-0: log in until ",
        f" web-{failed}-0\n",
        f"web-{failed}-0: console log: ",
    ):
        assert words in done.text, done.text
    serving.services["web"]["on_failure"] = "remove"
    serving.write_settings()
    done = serving.drive("up", "dev")
    assert done.code == 6, done.text
    assert f"Removed web-{failed} (on_failure: remove)" in done.text
    for words in ("log in until", "console log:", "nothing was deleted", "stays for inspection"):
        assert words not in done.text, done.text
    assert count(done) == {"delete": 1}
    assert {*serving.fleets()} == {old, live}
    assert not list((serving.world / "keys").iterdir())
    assert serving.live() == live
    serving.mend_app()
    done = serving.up()
    assert (done.code, count(done)) == (0, {}), done.text
    serving.ask_three_questions()


def test_the_next_round_by_age_and_by_hand(serving: Project) -> None:
    """The same image, new servers: because of `max_age`, and when asked for at any commit."""
    first = serving.live()
    serving.services["web"]["max_age"] = "14d"
    serving.write_settings()
    assert serving.up().code == 0
    serving.ask_three_questions()
    launched_at = serving.ledger()["generations"][first]["launched_at"]
    spec = serving.world / "fleets" / f"web-{first}" / "spec.json"
    for time in (launched_at, launched_at + LOGIN_WINDOW):  # it was launched earlier, says all
        earlier = time - 14 * 86400 - 1
        serving.rewrite_state(str(time), str(earlier))
        spec.write_text(spec.read_text().replace(str(time), str(earlier)))
    preview = serving.preview()
    assert f"generation {first} is older than 14d: made again as round 1" in preview.text
    done = serving.up()
    assert done.code == 0, done.text
    assert count(done) == {"boot": 2, "traffic": 1}
    second = serving.live()
    assert serving.states() == {first: "standby", second: "live"}
    serving.ask_three_questions()

    serving.edit("app/server.txt", "two")
    done = serving.drive("replace", "dev", "web", "--why", "it leaks")
    assert done.code == 0, done.text
    assert "is replaced by hand (it leaks): made again as round 2" in done.text
    assert (done.count("bake"), done.count("boot")) == (0, 2)
    records = serving.ledger()["generations"]
    assert serving.live() not in (first, second)
    assert records[serving.live()]["version"] == records[first]["version"]
    serving.put_back("app/server.txt")
    done = serving.up()
    assert (done.code, count(done)) == (0, {}), done.text
    serving.ask_three_questions()


def test_a_service_is_given_up_only_when_asked(serving: Project) -> None:
    """A service that is out of the settings stops every run but `retire`; by command it goes."""
    serving.services["api"] = {**serving.services["web"], "route": {"port": 8081}}
    serving.write_settings()
    assert serving.up().code == 0
    serving.edit("app/server.txt", "two")
    assert serving.up().code == 0
    ask = ("destroy", "dev", "--yes", "--service", "web")
    assert_refused(serving.drive(*ask), "name the service web, so it is not deleted")
    live = serving.live("api")
    del serving.services["web"]
    serving.write_settings()
    for words in (("preview", "dev"), ("up", "dev")):
        assert_refused(serving.drive(*words), "do not name web any more", "--service web")
    for asked in (("rollback", "dev", "api", "--why", "slow"), ("resume", "dev", "web")):
        sentence = "settings of dev do not name web, and it serves, so nothing is done from here"
        assert_refused(serving.drive(*asked), sentence, "in a checkout whose Pulumi.dev.yaml")
    web = serving.fleets("web")
    serving.services["api"]["keep"] = 0
    serving.write_settings()
    done = serving.drive("retire", "dev")
    assert (done.code, count(done)) == (0, {"delete": 1}), done.text
    assert (serving.fleets("api"), serving.fleets("web")) == ({live: 2}, web)
    done = serving.drive(*ask)
    assert done.code == 0, done.text
    assert (serving.fleets("web"), serving.live("web")) == ({}, "")
    assert serving.live("api") == live
    serving.ask_three_questions("api")
