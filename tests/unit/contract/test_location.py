"""Where a stack's servers are: what is the same place, and what is said of another one."""

import pytest

from immutable_servers.contract.location import Location, make_moved

HERE = Location("aws", {"account": "111122223333", "region": "eu-central-1"})
LAPTOP = Location("local", {"machine": "0123456789ab", "folder": "/home/anna/data"}, "anna")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (HERE, True),
        (Location("aws", {"region": "eu-central-1"}), True),  # nobody asked for the account
        (Location("aws", {"region": "us-east-1"}), False),
        (Location("aws", {"account": "444455556666", "region": "eu-central-1"}), False),
        (Location("gcp", {"region": "eu-central-1"}), False),
    ],
)
def test_places_are_compared_by_what_both_say(other: Location, *, same: bool) -> None:
    """A word that one of them lacks distinguishes nothing; the target always does."""
    assert (HERE.is_same(other), other.is_same(HERE)) == (same, same)


def test_a_host_name_distinguishes_nothing() -> None:
    """A machine that got another name is still the same one."""
    assert LAPTOP.is_same(Location("local", LAPTOP.words, "another-name"))


def test_it_comes_back_from_its_plain_form() -> None:
    """An account's number stays a text."""
    assert Location.from_plain(HERE.to_plain()) == HERE


def test_the_error_says_where_and_names_every_way_out() -> None:
    """Word for word: settings that changed."""
    there = Location("aws", {"region": "us-east-1", "account": "111122223333"})
    assert str(make_moved("prod", there, HERE, "api, web")) == (
        "SettingsError: The servers of prod are at another place than this run's.\n"
        "  There: aws (account 111122223333, region us-east-1), with servers of api, web\n"
        "  Here: aws (account 111122223333, region eu-central-1)\n"
        "  Nothing was changed: a stack has one place\n"
        "What to do: Put the settings back, and it goes on at once. To move the stack, first delete"
        " what is there, with the old settings: ./immutable destroy prod. To have both, make"
        " another stack: copy Pulumi.prod.yaml, and name the copy."
    )


def test_the_error_names_the_machine() -> None:
    """One state on two machines: it goes on where the servers are."""
    here = Location("local", {"machine": "ffffffffffff", "folder": "/home/anna/data"}, "bert")
    said = str(make_moved("dev", LAPTOP, here, "web"))
    assert "There: local (host anna, folder /home/anna/data, machine 0123456789ab)" in said
    assert "Here: local (host bert, " in said
    assert "What to do: Run it on anna, and it goes on at once." in said
