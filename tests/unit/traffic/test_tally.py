"""What answers are right, and since when: pure, by moments that the tests choose."""

from immutable_servers.contract.front import Reply
from immutable_servers.traffic.tally import Tally

NEW, OLD = Reply("a", 200, ("web-bbbbbbbb",)), Reply("b", 200, ("web-aaaaaaaa",))
NAMELESS, BROKEN = Reply("c", 200), Reply("d", 502)
REFUSED, SILENT = Reply("e", fault="refused"), Reply("f", fault="no connection", silent=True)


def take(tally: Tally, *rounds: list[Reply]) -> float:
    """Ask at 10, 20, 30 ...; each round's answers are there a second later."""
    for number, replies in enumerate(rounds, 1):
        tally.take(replies, 10.0 * number, 10.0 * number + 1)
    return tally.quiet


def make_move() -> Tally:
    """Return the tally of a move whose API took 2 s."""
    return Tally("web-bbbbbbbb", began=0.0, since=2.0)


def make_way_out() -> Tally:
    """Return the tally of a generation that leaves."""
    return Tally("web-aaaaaaaa", began=0.0, since=0.0, leaving=True)


def test_the_time_counts_from_the_last_answer_that_is_not_the_new_ones() -> None:
    """Another generation, another service, an error and no answer are each wrong."""
    assert take(make_move(), [NEW], [NEW]) == 18.0
    for wrong in (OLD, Reply("b", 200, ("api-bbbbbbbb",)), BROKEN, REFUSED, SILENT):
        assert take(make_move(), [NEW], [NEW, wrong], [NEW]) == 9.0
    assert take(make_move(), [NEW, OLD]) < 0


def test_an_answer_with_two_names_is_from_both() -> None:
    """An application that claims to be the new generation is not believed beside nginx's word."""
    both = Reply("a", 200, ("web-bbbbbbbb", "web-aaaaaaaa"))
    assert take(make_move(), [both]) < 0
    assert take(make_way_out(), [both]) < 0


def test_without_names_the_time_counts_from_the_last_failure() -> None:
    """An image without the header: nobody says who answers."""
    assert take(make_move(), [NAMELESS], [BROKEN], [NAMELESS]) == 9.0
    assert take(make_move(), [NAMELESS], [NAMELESS]) == 18.0


def test_where_the_new_one_names_itself_who_does_not_is_somebody_else() -> None:
    """The old image had no header: its answers are told by that, whichever came first."""
    assert take(make_move(), [NAMELESS], [NEW]) == 9.0
    tally = make_move()
    assert take(tally, [NEW], [NEW, NAMELESS], [NEW]) == 9.0
    assert "1 of 4 answers from servers that do not name their generation" in tally.describe()


def test_who_leaves_must_not_answer_and_may_be_followed_by_errors() -> None:
    """A service that is broken keeps nobody else from going."""
    assert take(make_way_out(), [NEW], [BROKEN], [REFUSED]) == 30.0
    assert take(make_way_out(), [NEW], [OLD], [NEW]) == 9.0


def test_the_line_says_how_many_were_wrong_and_how() -> None:
    """A long name of somebody's is cut."""
    tally = make_move()
    take(tally, [NEW, OLD], [NEW, OLD], [BROKEN], [Reply("x", 200, ("y" * 200,))])
    said = tally.describe()
    assert said.startswith("2 of 6 answers still from aaaaaaaa, 1 of 6 answers failed (502)")
    assert len(said) < 200


def test_the_progress_says_how_long_all_were_right() -> None:
    """An old answer of a minute ago is not read as one of now; a long quiet wait speaks, too."""
    late, clean = make_move(), make_move()
    take(late, [NEW, OLD])
    assert late.describe_progress(60) == "1 of 2 answers still from aaaaaaaa"
    take(late, *[[NEW, NEW]] * 3)
    said = late.describe_progress(60)
    assert said.startswith("1 of 8 answers still from aaaaaaaa, none in the last ")
    assert said.endswith(" of 60 s")
    assert clean.describe_progress(60) == ""
    take(clean, [NEW], [NEW])
    assert clean.describe_progress(60).startswith("all answers were right in the last ")


def test_silence_is_not_heard() -> None:
    """A refusal is: somebody is there."""
    silent, refused = make_move(), make_move()
    take(silent, [SILENT], [SILENT])
    take(refused, [SILENT, REFUSED])
    assert (silent.heard, refused.heard) == (False, True)
