"""The decisions of a run, as a table: what is known, what is wished, what is declared."""

from dataclasses import replace

import pytest

from harness.builders import NOW, know, make_fleet, make_record, make_wish, with_pin
from immutable_servers.errors import LedgerError
from immutable_servers.ledger.pin import HeldOff, Pinned
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.requests import release
from immutable_servers.planning.service import decide


def test_nothing_known_begins_with_round_zero() -> None:
    """The first generation is order 1, round 0, and fresh."""
    plan = decide(make_wish(), know([], ""))
    assert plan.fresh
    assert (plan.desired.order, plan.desired.round, plan.others) == (1, 0, ())


def test_what_the_balancer_points_to_is_no_round_to_begin_with() -> None:
    """Its fleet and its record are lost: the next round is made, not one that was proven before."""
    lost = decide(make_wish(), know([], "")).desired
    known = replace(know([], ""), traffic={lost.generation: 100})
    plan = decide(make_wish(), known)
    assert plan.fresh
    assert (plan.desired.round, plan.desired.generation != lost.generation) == (1, True)


def test_the_live_generation_is_desired_when_nothing_changed() -> None:
    """The same make is the live generation itself; a standby stays beside it."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    plan = decide(make_wish(), know([old, live], "live"))
    assert (plan.desired.generation, plan.fresh) == ("live", False)
    assert [record.generation for record in plan.others] == ["old"]
    assert plan.going == ()


def test_a_new_version_keeps_the_live_one_and_drops_what_keep_does_not_hold() -> None:
    """The live generation becomes the standby; the standby before it goes."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    plan = decide(make_wish("v2"), know([old, live], "live"))
    assert plan.fresh
    assert plan.desired.order == 3
    assert [record.generation for record in plan.others] == ["live"]
    assert [record.generation for record in plan.going] == ["old"]


def test_keep_zero_declares_no_other() -> None:
    """With `keep: 0` the live generation goes in the run that replaces it."""
    plan = decide(make_wish("v2", keep=0), know([make_record("live", "v1", 1)], "live"))
    assert plan.others == ()
    assert [record.generation for record in plan.going] == ["live"]


def test_a_standby_is_taken_back() -> None:
    """A source that was reverted finds its standby: nothing is launched."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    plan = decide(make_wish("v0"), know([old, live], "live"))
    assert (plan.desired.generation, plan.fresh) == ("old", False)
    assert [record.generation for record in plan.others] == ["live"]


def test_what_cannot_be_used_gets_the_next_round() -> None:
    """A retired, a broken, a leaving and a timed-out generation are each made again."""
    live = make_record("live", "v1", 2)
    retired = make_record("gone", "v0", 1, state=State.RETIRED)
    broken = make_record("half", "v0", 1)
    timed_out = make_record("late", "v0", 1, verified={}, state=State.CANDIDATE)
    for record, known in (
        (retired, know([retired, live], "live", gone=("gone",))),
        (broken, know([broken, live], "live", broken=("half",))),
        (timed_out, know([timed_out, live], "live")),
    ):
        plan = decide(make_wish("v0"), known)
        assert plan.fresh, record.generation
        assert plan.desired.round == 1
        assert plan.desired.generation != record.generation
        assert plan.notes


def test_what_lacks_servers_and_its_artifact_is_made_again() -> None:
    """No server of it can be launched: another round is baked, and it goes when that serves."""
    live = make_record("live", "v1", 2)
    wish = replace(make_wish("v1"), gone=frozenset({"v1"}))
    broken = know([live], "live", broken=("live",))
    for plan in (decide(wish, broken), decide(replace(wish, version="v2"), broken)):
        assert (plan.fresh, plan.bakes, plan.others) == (True, True, ())
        assert [record.generation for record in plan.going] == ["live"]
    assert decide(replace(wish, servers=3), know([live], "live")).desired.round == 1
    for plan in (decide(wish, know([live], "live")), decide(make_wish("v1"), broken)):
        assert (plan.desired.generation, plan.fresh) == ("live", False)
    plan = decide(replace(wish, version="v2", servers=3), know([live], "live"))
    assert [record.generation for record in plan.others] == ["live"]


def test_changed_checks_want_the_image_while_the_source_is_followed() -> None:
    """A fresh server is launched for them; a pin, and a version that is held off, ask nothing."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    known = know([old, live], "live")
    plan = decide(make_wish("v1"), known)
    assert (plan.proves, plan.bakes, plan.fresh) == (True, True, False)
    assert not decide(replace(make_wish("v1"), checks=""), known).bakes
    for pin in (PIN, release(PIN)):
        assert not decide(make_wish("v1"), with_pin(known, pin)).bakes


def test_a_leaving_fleet_is_never_used_again() -> None:
    """A fleet whose deletion began is deleted to the end."""
    live, leaving = make_record("live", "v1", 2), make_record("leaving", "v0", 1)
    fleets = {"live": make_fleet(live), "leaving": make_fleet(leaving, leaving=True)}
    ledger = ServiceLedger({"live": live, "leaving": leaving})
    known = KnownService("web", ledger, fleets, {"live": 100})
    plan = decide(make_wish("v0"), known)
    assert plan.fresh
    assert [record.generation for record in plan.going] == ["leaving"]


def test_a_candidate_in_its_window_is_verified_again() -> None:
    """A failed candidate keeps its generation while somebody can still log in."""
    live = make_record("live", "v1", 1)
    failed = make_record(
        "fresh", "v2", 2, verified={}, state=State.CANDIDATE, window_ends=int(NOW) + 60
    )
    plan = decide(make_wish("v2"), know([live, failed], "live"))
    assert (plan.desired.generation, plan.fresh) == ("fresh", False)


def test_a_failed_candidate_takes_no_standbys_place() -> None:
    """`keep` counts verified generations only, so the failed one goes."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    failed = make_record("bad", "v2", 3, verified={}, state=State.CANDIDATE)
    plan = decide(make_wish("v1"), know([old, live, failed], "live"))
    assert [record.generation for record in plan.others] == ["old"]
    assert [record.generation for record in plan.going] == ["bad"]


def test_a_standby_that_is_not_whole_is_dropped_with_a_note() -> None:
    """A standby is kept, never made."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    plan = decide(make_wish(), know([old, live], "live", broken=("old",)))
    assert plan.others == ()
    assert plan.notes == ("standby old is not whole: it is dropped",)


def test_what_serves_is_read_from_the_balancer() -> None:
    """A generation that only the target knows, and that has the traffic, is live and verified."""
    live = make_record("live", "v1", 1)
    moved = make_record("moved", "v2", 2, verified={}, state=State.CANDIDATE)
    fleets = {"live": make_fleet(live), "moved": make_fleet(moved)}
    known = KnownService("web", ServiceLedger({"live": live}), fleets, {"moved": 100})
    plan = decide(make_wish("v1"), known)
    assert plan.desired.generation == "live"
    assert [(r.generation, r.state) for r in plan.others] == [("moved", State.LIVE)]
    assert plan.others[0].verified


def test_of_the_shares_of_a_killed_canary_who_served_before_is_live() -> None:
    """Whatever the weights, the other one is a standby that had passed its verification."""
    live = make_record("live", "v1", 1, state=State.LIVE)
    tried = make_record("tried", "v2", 2, verified={}, state=State.CANDIDATE)
    fleets = {"live": make_fleet(live), "tried": make_fleet(tried)}
    traffic = {"tried": 60, "live": 40}
    known = KnownService("web", ServiceLedger({"live": live}), fleets, traffic)
    assert known.ledger.live == "live"
    assert known.ledger.generations["tried"].state is State.STANDBY
    assert known.ledger.generations["tried"].verified


def test_what_failed_under_traffic_is_no_standby_and_is_made_again_by_hand_alone() -> None:
    """It stays a candidate while the source wants it, and takes no standby's place after that."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    failed = make_record("bad", "v2", 3, state=State.CANDIDATE, fault="50 of 99 answers")
    known = know([old, live, failed], "live")
    plan = decide(make_wish("v2"), known)
    assert (plan.desired.generation, plan.fresh) == ("bad", False)
    assert "50 of 99 answers" in plan.notes[0]
    plan = decide(replace(make_wish("v2"), again="the database was down"), known)
    assert (plan.desired.round, plan.fresh) == (1, True)
    plan = decide(make_wish("v1"), known)
    assert [record.generation for record in plan.others] == ["old"]
    assert [record.generation for record in plan.going] == ["bad"]


PIN = Pinned("old", who="me", at="now", why="bad", left="v1")


def test_a_pin_keeps_its_generation_whatever_the_source_says() -> None:
    """A newer source bakes and launches nothing while the pin stands, and a note says so."""
    old, live = make_record("old", "v0", 1), make_record("live", "v1", 2)
    known = know([old, live], "live")
    plan = decide(make_wish("v9"), with_pin(known, PIN))
    assert (plan.desired.generation, plan.fresh, plan.bakes) == ("old", False, False)
    assert plan.pin == PIN
    assert "resume" in plan.notes[-1]


def test_a_pin_on_a_retired_generation_launches_its_artifact_again() -> None:
    """The next round is made from the recorded artifact, and the pin follows it.

    Only where that is gone and the checkout gives the same version, it is baked.
    """
    old = make_record("old", "v0", 1, state=State.RETIRED)
    live = make_record("live", "v1", 2)
    known = know([old, live], "live", gone=("old",))
    plan = decide(make_wish("v1"), with_pin(known, PIN))
    assert (plan.fresh, plan.bakes, plan.desired.artifact) == (True, False, "app/v0")
    assert plan.desired.round == 1
    assert plan.pin == replace(PIN, generation=plan.desired.generation, again="old")
    for version, bakes in (("v0", True), ("v1", False)):
        wish = replace(make_wish(version), gone=frozenset({"v0"}))
        assert decide(wish, with_pin(known, PIN)).bakes == bakes


def test_a_pinned_round_that_was_left_out_is_launched_by_the_next_run() -> None:
    """The ledger does not know it; the pin says what it is a round of."""
    old = make_record("old", "v0", 1, state=State.RETIRED)
    known = know([old, make_record("live", "v1", 2)], "live", gone=("old",))
    plan = decide(make_wish("v1"), with_pin(known, PIN))
    again = decide(make_wish("v1"), with_pin(known, plan.pin))
    assert isinstance(again.pin, Pinned)
    assert again.pin.generation not in known.ledger.generations
    assert (again.desired, again.pin) == (plan.desired, plan.pin)


def test_a_pin_on_an_unknown_generation_stops_the_run() -> None:
    """A pin that somebody wrote by hand is not guessed at."""
    known = know([make_record("live", "v1", 1)], "live")
    with pytest.raises(LedgerError, match="old"):
        decide(make_wish("v1"), with_pin(known, PIN))


def test_resume_holds_the_version_that_was_left() -> None:
    """After a resume the same source changes nothing; another one is followed, and unpins."""
    old, live = make_record("old", "v0", 1), make_record("bad", "v1", 2)
    known = know([old, live], "old")
    held = with_pin(known, release(PIN))
    plan = decide(make_wish("v1"), held)
    assert (plan.desired.generation, plan.pin) == ("old", release(PIN))
    plan = decide(make_wish("v2"), held)
    assert (plan.fresh, plan.pin) == (True, None)


def test_what_was_left_is_held_off_though_nothing_serves() -> None:
    """The fleet that was gone back to is lost: its artifact is launched again."""
    old, left = make_record("old", "v0", 1), make_record("bad", "v1", 2)
    known = know([old, left], "", gone=("old",))
    plan = decide(make_wish("v1"), with_pin(known, release(PIN)))
    assert (plan.fresh, plan.desired.version, plan.desired.artifact) == (True, "v0", "app/v0")
    assert (plan.follows, plan.pin) == (False, release(PIN))
    plan = decide(make_wish("v2"), with_pin(known, release(PIN)))
    assert plan.desired.version == "v2"


DAY = 86400.0


def make_live(**changes: object) -> Record:
    """Return a live record that is a day old."""
    return make_record("live", "v1", 2, launched_at=int(NOW - DAY), **changes)


def test_a_live_generation_that_is_too_old_is_made_again() -> None:
    """The next round of the same image; younger, of unknown age, or pinned it stays."""
    old, live = make_record("old", "v0", 1), make_live()
    known = know([old, live], "live")
    wish = replace(make_wish("v1"), max_age=DAY - 1)
    plan = decide(wish, known)
    assert (plan.fresh, plan.desired.round, plan.desired.version) == (True, 1, "v1")
    assert [record.generation for record in plan.others] == ["live"]
    assert plan.notes == ("generation live is older than 86399s: made again as round 1",)
    assert not decide(replace(wish, max_age=DAY), known).fresh
    assert not decide(wish, with_pin(known, replace(PIN, generation="live"))).fresh
    assert not decide(wish, know([replace(live, launched_at=0)], "live")).fresh


def test_a_newer_source_comes_before_age() -> None:
    """What is new is launched anyway, so the old image is not launched again."""
    plan = decide(replace(make_wish("v2"), max_age=1.0), know([make_live()], "live"))
    assert (plan.desired.version, plan.desired.round) == ("v2", 0)


def test_a_round_made_already_is_taken_instead_of_another() -> None:
    """A replacement that failed is verified again in its window; one that once served is not."""
    live = make_live()
    failed = make_record(
        "again", "v1", 3, round=1, verified={}, state=State.CANDIDATE, window_ends=int(NOW) + 60
    )
    wish = replace(make_wish("v1"), max_age=1.0)
    plan = decide(wish, know([live, failed], "live"))
    assert (plan.desired.generation, plan.fresh) == ("again", False)
    left = make_record("again", "v1", 3, round=1, left_at=int(NOW) - 60)
    plan = decide(wish, know([live, left], "live"))
    assert (plan.fresh, plan.desired.round) == (True, 2)


def test_a_live_generation_is_preferred_to_a_later_round() -> None:
    """A round that failed beside it is no reason for another once nobody asks for it."""
    live = make_live()
    failed = make_record("again", "v1", 3, round=1, verified={}, state=State.CANDIDATE)
    plan = decide(make_wish("v1"), know([live, failed], "live"))
    assert (plan.desired.generation, plan.fresh) == ("live", False)
    assert [record.generation for record in plan.going] == ["again"]


def test_by_hand_the_live_image_is_launched_again_whatever_the_source_says() -> None:
    """Neither a newer source nor a version that is held off keeps it from that."""
    known = know([make_live(data_version="7")], "live")
    for pin in (None, HeldOff("v2")):
        wish = replace(make_wish("v2"), again="it leaks", data_version="8")
        plan = decide(wish, with_pin(known, pin))
        assert (plan.fresh, plan.bakes, plan.pin) == (True, False, pin)
        assert (plan.desired.version, plan.desired.artifact) == ("v1", "app/v1")
        assert plan.desired.data_version == "7"
        assert "(it leaks)" in plan.notes[0]


def test_a_service_that_stays_follows_nothing() -> None:
    """Neither source, age nor pin moves it, and its standbys are kept."""
    old, live = make_record("old", "v0", 1), make_live()
    known = know([old, live], "live")
    wish = replace(make_wish("v2"), stays=True, max_age=1.0)
    for pin in (None, PIN):
        plan = decide(wish, with_pin(known, pin))
        assert plan.desired == replace(live, state=State.LIVE)
        assert (plan.fresh, plan.follows) == (False, False)
        assert [record.generation for record in plan.others] == ["old"]
        assert plan.pin == pin


def test_retiring_names_what_goes_and_declares_nothing_else() -> None:
    """Only what is named goes, never the live one; what is not declared is left alone."""
    records = [make_record("old", "v0", 1), make_record("older", "v", 0), make_live()]
    wish = replace(make_wish("v2"), stays=True, retiring=("old", "live", "unknown"))
    plan = decide(wish, know(records, "live"))
    assert plan.desired.generation == "live"
    assert [record.generation for record in plan.going] == ["old"]
    assert plan.others == ()


def test_the_source_says_which_data_a_generation_works_with() -> None:
    """It is no part of what makes a generation; a pinned one keeps what it was made for."""
    old, live = make_record("old", "v0", 1, data_version="1"), make_live(data_version="1")
    known = know([old, live], "live")
    wish = replace(make_wish("v1"), data_version="2")
    plan = decide(wish, known)
    assert (plan.desired.generation, plan.desired.data_version) == ("live", "2")
    plan = decide(wish, with_pin(known, PIN))
    assert (plan.desired.generation, plan.desired.data_version) == ("old", "1")
