"""Names and words of what the target has at Google."""

import re

import pytest

from immutable_servers.contract.values import Scope
from immutable_servers.targets.gcp.names import (
    LABELS,
    describe,
    find_generation,
    is_of,
    last_part,
    make_labels,
    make_name,
    name_image,
    name_server,
    read_words,
)

SCOPE = Scope("Shop.One", "Dev", "web", "3f2a9c41")
LONGEST = "a" * 20
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""https://docs.cloud.google.com/compute/docs/naming-resources"""


@pytest.mark.parametrize(
    ("scope", "most"),
    [
        (Scope("P" * 90, "S.T" * 30), 63),
        (Scope("1", "2"), 63),
        # A group takes 58 characters for the names of its instances, an account 6 to 30.
        (Scope("p", "s", LONGEST, "3f2a9c41"), 58 - len("-service")),
        (Scope("p", "s", LONGEST), 30),
    ],
)
def test_names_fit(scope: Scope, most: int) -> None:
    """Whatever project, stack and service are called, Google takes the name."""
    name = make_name(scope)
    assert NAME.fullmatch(name)
    assert 6 <= len(name) <= most


def test_names_differ_by_the_whole_scope() -> None:
    """Two stacks whose names are cut to the same letters share nothing."""
    scopes = [SCOPE, Scope("Shop-One", "Dev", "web", "3f2a9c41"), Scope("Shop.One", "Dev", "web")]
    assert len({make_name(scope) for scope in scopes}) == 3


def test_a_generation_is_found_by_its_name() -> None:
    """Only under its own scope: others' names of the same form are theirs."""
    service = Scope("Shop.One", "Dev", "web")
    assert find_generation(service, make_name(SCOPE)) == "3f2a9c41"
    assert find_generation(service, make_name(service)) == ""
    assert find_generation(Scope("other", "Dev", "web"), make_name(SCOPE)) == ""
    assert find_generation(service, "web") == ""


def test_a_server_is_named_as_on_every_target() -> None:
    """By service and generation, with the last part of its instance's name."""
    assert name_server(SCOPE, f"{make_name(SCOPE)}-x7k2") == "web-3f2a9c41-x7k2"
    assert NAME.fullmatch(name_image(LONGEST, "0123456789ab"))


def test_a_description_says_whose_a_thing_is() -> None:
    """Exactly, with letters that no label takes; what is not ours has no words."""
    thing = {"description": describe(SCOPE, **{"window-ends": "12"})}
    assert read_words(thing) == {
        "project": "Shop.One",
        "stack": "Dev",
        "service": "web",
        "generation": "3f2a9c41",
        "window-ends": "12",
    }
    assert is_of(thing, SCOPE)
    assert is_of(thing, SCOPE.of_stack)
    assert not is_of(thing, Scope("Shop.One", "Prod"))
    for other in ({}, {"description": "a rule"}, {"description": "[1]"}, {"description": "{}"}):
        assert read_words(other) == {}
        assert not is_of(other, Scope("", ""))


def test_labels_fit() -> None:
    """They are for a bill: lower case, whatever the names are."""
    labels = make_labels(SCOPE, image="app")
    assert labels["immutable-project"] == "shop-one"
    assert labels["immutable-image"] == "app"
    for key, value in {**labels, **LABELS.pack("mark-", {"revoked": "Why"})}.items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)
        assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)


def test_links_and_paths_end_with_a_name() -> None:
    """Google answers with links where it takes paths and names."""
    assert last_part("https://www.googleapis.com/compute/v1/projects/p/zones/z") == "z"
    assert last_part("z") == "z"
