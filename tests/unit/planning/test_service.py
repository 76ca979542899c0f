"""The decisions of a run, as a table: what is known, what is wished, what is declared."""

from dataclasses import replace

import pytest

from harness.builders import LAUNCH, NOW, know, make_fleet, make_record, make_wish, with_pin
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


def test_a_standby_is_taken_back_past_a_later_round_that_went() -> None:
    """A round that was begun beside it and retired unverified does not stand in its way."""
    live, standby = make_record("live", "v1", 3), make_record("old", "v0", 1)
    later = make_record("later", "v0", 2, state=State.RETIRED, verified={}, round=1)
    known = know([standby, later, live], "live", gone=("later",))
    plan = decide(make_wish("v0"), known)
    assert (plan.desired.generation, plan.fresh) == ("old", False)


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


def test_what_lies_on_an_image_that_was_baked_again_is_made_again() -> None:
    """Its servers would start from other bytes than those that were verified."""
    live = make_record("live", "v1", 2)
    known = know([live], "live")
    slid = replace(known.fleets["live"], whole=False, rebaked=True)
    known = replace(known, fleets={"live": slid})
    plan = decide(make_wish("v1"), known)
    assert (plan.fresh, plan.desired.round, plan.others) == (True, 1, ())
    assert [record.generation for record in plan.going] == ["live"]
    assert any("its image was baked again since" in note for note in plan.notes), plan.notes


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


@pytest.mark.parametrize("by_ledger", [True, False])
def test_a_candidate_that_somebody_was_on_is_made_again(*, by_ledger: bool) -> None:
    """Though its window is open: the next round of the same make is launched; a note says why."""
    why = "somebody logged in to web-used-0 at 2026-11-28T12:03:04Z"
    candidate = make_record(
        "used",
        "v2",
        2,
        verified={},
        state=State.CANDIDATE,
        window_ends=int(NOW) + 60,
        inspected=why if by_ledger else "",
    )
    known = know([make_record("live", "v1", 1), candidate], "live")
    known = known if by_ledger else replace(known, inspected={"used": why})
    plan = decide(make_wish("v2"), known)
    assert (plan.fresh, plan.desired.round, plan.desired.inspected) == (True, 1, "")
    assert plan.notes[0] == f"generation used is not verified again ({why}): made again as round 1"
    assert [record.generation for record in plan.going] == ["used"]
    assert decide(make_wish("v1"), known).desired.generation == "live"


def test_what_serves_is_not_made_again_for_a_login_of_before() -> None:
    """A live generation is sealed: a note in its record of before that changes nothing."""
    live = make_record("live", "v1", 1, inspected="somebody used its login")
    plan = decide(make_wish("v1"), know([live], "live"))
    assert (plan.desired.generation, plan.fresh) == ("live", False)


@pytest.mark.parametrize("state", [State.LIVE, State.STANDBY])
def test_a_verified_generation_whose_seal_met_a_login_goes(state: State) -> None:
    """Its seal refuses it in every run that declares it, so none does: the next round serves."""
    why = "somebody used its login"
    used = make_record("used", "v1", 1, state=state)
    others = [] if state is State.LIVE else [make_record("live", "v2", 2)]
    known = know([used, *others], "used" if state is State.LIVE else "live")
    plan = decide(make_wish("v1"), replace(known, inspected={"used": why}))
    assert (plan.fresh, plan.desired.round) == (True, 1)
    assert [record.generation for record in plan.going] == ["used"]
    if others:
        plan = decide(make_wish("v2"), replace(known, inspected={"used": why}))
        assert [record.generation for record in plan.going] == ["used"]
        assert f"standby used cannot serve ({why}): it is dropped" in plan.notes


def test_a_note_of_a_login_outlives_the_keys() -> None:
    """Keys of what goes may be deleted before its servers are: the ledger has the note by then."""
    why = "somebody used its login"
    used, live = make_record("used", "v1", 1), make_record("live", "v2", 2)
    noted = replace(know([used], "used"), inspected={"used": why}).ledger
    later = know([replace(noted.generations["used"], state=State.STANDBY), live], "live")
    plan = decide(make_wish("v2"), later)
    assert [record.generation for record in plan.going] == ["used"]


def test_a_candidate_in_its_window_is_verified_again() -> None:
    """A failed candidate keeps its generation while somebody can still log in."""
    live = make_record("live", "v1", 1)
    failed = make_record(
        "fresh", "v2", 2, verified={}, state=State.CANDIDATE, window_ends=int(NOW) + 60
    )
    plan = decide(make_wish("v2"), know([live, failed], "live"))
    assert (plan.desired.generation, plan.fresh) == ("fresh", False)


def test_a_candidate_of_a_clock_that_was_ahead_is_made_again() -> None:
    """After the clock was set back its window seems to be open for a year; it is not waited for."""
    live = make_record("live", "v1", 1)
    ahead = make_record(
        "ahead", "v2", 2, verified={}, state=State.CANDIDATE, window_ends=int(NOW) + 365 * 86400
    )
    plan = decide(make_wish("v2"), know([live, ahead], "live"))
    assert (plan.desired.round, plan.fresh) == (1, True)


def test_a_candidate_that_was_launched_again_is_not_verified() -> None:
    """The ledger of an imported state has the verdict on servers that there are no more."""
    live, again = make_record("live", "v1", 1), make_record("again", "v2", 2, launched_at=100)
    target = replace(again, verified={}, launched_at=200)
    fleets = {"live": make_fleet(live), "again": make_fleet(target)}
    ledger = ServiceLedger({"live": live, "again": again})
    known = KnownService("web", ledger, fleets, {"live": 100})
    assert (known.ledger.generations["again"].verified, known.earlier) == ({}, [])
    assert known.ledger.generations["live"].verified == live.verified


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


def know_moved(**changes: object) -> KnownService:
    """Return what is known when a run died after it had moved the traffic, or somebody moved it."""
    live = make_record("live", "v1", 1, state=State.LIVE)
    unverified: dict[str, object] = {"verified": {}, "state": State.CANDIDATE}
    moved = make_record("moved", "v2", 2, **{**unverified, **changes})
    fleets = {"live": make_fleet(live), "moved": make_fleet(moved)}
    return KnownService("web", ServiceLedger({"live": live}), fleets, {"moved": 100})


def test_what_serves_is_read_from_the_balancer() -> None:
    """A generation that only the target knows, and that has the traffic, is live and unverified.

    It stays while its verification, which the state knows, has the word.
    """
    plan = decide(make_wish("v1"), know_moved())
    assert plan.desired.generation == "live"
    assert [(r.generation, r.state, r.verified) for r in plan.others] == [("moved", State.LIVE, {})]
    plan = decide(make_wish("v2"), know_moved())
    assert (plan.desired.generation, plan.fresh, plan.serves_unverified) == ("moved", False, True)
    assert [record.generation for record in plan.others] == ["live"]
    assert "generation moved serves and the ledger has no verdict on it" in plan.notes[0]


def test_a_target_says_how_a_fleet_was_launched_and_nothing_of_its_verdict() -> None:
    """A record that is found with a fleet brings no verdict, no fault, no state, no time."""
    forged = know_moved(verified={"how": "me"}, fault="slow", state=State.STANDBY, left_at=5)
    for traffic in ({"moved": 100}, {"live": 100}):
        found = replace(forged, traffic=traffic).ledger.generations["moved"]
        state = State.LIVE if "moved" in traffic else State.CANDIDATE
        assert (found.verified, found.fault, found.left_at, found.state) == ({}, "", 0, state)
        assert (found.version, found.order, found.artifact) == ("v2", 2, "app/v2")
    plan = decide(make_wish("v2"), replace(forged, traffic={"live": 100}))
    assert (plan.fresh, plan.desired.round) == (True, 1)  # its login window is over


def test_the_pointer_makes_no_failed_candidate_verified() -> None:
    """It is verified while somebody can log in, then made again; it is no standby of the next."""
    failed = make_record("bad", "v2", 2, verified={}, state=State.CANDIDATE)
    old = make_record("old", "v1", 1)
    pointed = know([old, failed], "bad")
    plan = decide(make_wish("v2"), pointed)
    assert (plan.desired.generation, plan.desired.verified, plan.fresh) == ("bad", {}, False)
    assert plan.serves_unverified

    judged = know([old, replace(failed, state=State.LIVE)], "bad")
    plan = decide(make_wish("v2"), judged)
    assert (plan.fresh, plan.desired.round) == (True, 1)
    assert "generation bad was not verified within its login window" in plan.notes[0]
    assert [record.generation for record in plan.others] == ["old"]
    assert [record.generation for record in plan.going] == ["bad"]
    plan = decide(make_wish("v3"), judged)
    assert [record.generation for record in plan.going] == ["bad"]
    plan = decide(make_wish("v1"), judged)
    assert (plan.desired.generation, plan.others) == ("old", ())


def test_the_next_round_of_what_was_never_verified_is_not_made_in_every_run() -> None:
    """A round that a failed run has begun is verified again while its window is open."""
    live = make_record("bad", "v2", 2, verified={}, state=State.LIVE)
    begun = replace(live, generation="next", order=3, round=1, state=State.CANDIDATE)
    begun = replace(begun, window_ends=int(NOW) + 60)
    plan = decide(make_wish("v2"), know([live, begun], "bad"))
    assert (plan.desired.generation, plan.fresh) == ("next", False)
    plan = decide(make_wish("v2"), know([live, replace(begun, fault="50 of 99")], "bad"))
    assert (plan.fresh, plan.desired.round) == (True, 2)


def test_an_id_in_use_is_given_to_no_other_make() -> None:
    """Eight digits may meet: the next round gets others, so that no fleet serves for another's."""
    meets = decide(make_wish("v1"), know([], "")).desired.generation
    for state in (State.STANDBY, State.RETIRED):
        other = make_record(meets, "v0", 1, state=state)
        gone = (meets,) if state is State.RETIRED else ()
        plan = decide(make_wish("v1"), know([other], "", gone=gone))
        assert plan.fresh
        assert (plan.desired.round, plan.desired.generation != meets) == (1, True)
        assert plan.desired.version == "v1"


def test_of_the_shares_of_a_killed_canary_who_served_before_is_live() -> None:
    """Whatever the weights; the other one's verification, which the state knows, has the word."""
    live = make_record("live", "v1", 1, state=State.LIVE)
    tried = make_record("tried", "v2", 2, verified={}, state=State.CANDIDATE)
    fleets = {"live": make_fleet(live), "tried": make_fleet(tried)}
    traffic = {"tried": 60, "live": 40}
    known = KnownService("web", ServiceLedger({"live": live}), fleets, traffic)
    assert known.ledger.live == "live"
    assert known.ledger.generations["tried"].state is State.CANDIDATE
    plan = decide(make_wish("v2"), known)
    assert (plan.desired.generation, plan.fresh) == ("tried", False)


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


def test_resume_holds_what_was_left() -> None:
    """After a resume the same source changes nothing; another one is followed, and unpins."""
    old, live = make_record("old", "v0", 1), make_record("bad", "v1", 2)
    known = know([old, live], "old")
    held = with_pin(known, release(PIN))
    plan = decide(make_wish("v1"), held)
    assert (plan.desired.generation, plan.pin) == ("old", release(PIN))
    plan = decide(make_wish("v2"), held)
    assert (plan.fresh, plan.pin) == (True, None)


def test_resume_holds_the_generation_and_not_its_image() -> None:
    """Another env, size, port, health or shape of the same image is launched, and unpins.

    What was left is held off, in whatever round; it was launched from the image that serves.
    """
    bad_env = {**LAUNCH, "env": {"DB": "typo"}}
    old, left = make_record("old", "v1", 1), make_record("bad", "v1", 2, launch=bad_env)
    again = make_record("again", "v1", 3, launch=bad_env, round=1, state=State.CANDIDATE)
    pin = replace(PIN, left="bad")
    held = with_pin(know([old, left, again], "old"), release(pin))
    wish = replace(make_wish("v1"), launch=bad_env)
    plan = decide(wish, held)
    assert (plan.desired.generation, plan.fresh, plan.pin) == ("old", False, release(pin))
    assert "held off" in plan.notes[0]
    for change in (
        {"launch": {**LAUNCH, "env": {"DB": "right"}}},
        {"launch": {**bad_env, "size": "medium"}},
        {"launch": {**bad_env, "port": 81}},
        {"launch": {**bad_env, "health": "/up"}},
        {"shape": "other"},
        {"version": "v2"},
    ):
        plan = decide(replace(wish, **change), held)
        assert (plan.fresh, plan.pin) == (True, None), change
    plan = decide(make_wish("v1"), held)
    assert (plan.desired.generation, plan.fresh, plan.pin) == ("old", False, None)


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
