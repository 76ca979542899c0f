"""Names and tags of what the target has at DigitalOcean."""

import re
from dataclasses import replace
from typing import Any

import pytest

from immutable_servers.contract.values import Scope
from immutable_servers.errors import LaunchError, LedgerError
from immutable_servers.targets.digitalocean.names import (
    find_generation,
    list_tags,
    make_name,
    make_tag,
    name_server,
    read_scope,
    read_words,
    tag_generation,
    tag_leaving,
    tag_live,
    tag_service,
    tag_window,
    unpack_record,
)

SCOPE = Scope("Shop.One", "Dev", "web", "3f2a9c41")
LONGEST = Scope("P" * 90, "S.T" * 30, "a" * 20, "3f2a9c41")
RECORD: dict[str, Any] = {"image": "app", "env": {f"KEY_{n}": f"Wert {n} äß" for n in range(40)}}
TAG = re.compile(r"[a-z0-9_:-]{1,255}")
"""Lower case of `^[a-zA-Z0-9_:-]{1,255}$`: `Dev` and `dev` are one tag to DigitalOcean."""
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,62}")


@pytest.mark.parametrize("scope", [SCOPE, LONGEST, replace(SCOPE, generation=""), SCOPE.of_stack])
def test_names_and_tags_fit(scope: Scope) -> None:
    """Whatever project, stack and service are called, DigitalOcean takes names and tags."""
    assert NAME.fullmatch(make_name(scope))
    assert NAME.fullmatch(name_server(replace(scope, service="web"), 12))
    tags = [
        *list_tags(scope, RECORD),
        tag_live(scope),
        tag_leaving(scope),
        tag_window(scope, 1764387000),
    ]
    assert len(set(tags)) == len(tags)
    assert all(TAG.fullmatch(tag) for tag in tags)


def test_tags_differ_by_the_whole_scope() -> None:
    """Tags are account-wide: two stacks whose names are alike in lower case share none."""
    scopes = [SCOPE, replace(SCOPE, project="Shop-One"), replace(SCOPE, stack="dev")]
    tags = [tag for scope in scopes for tag in [*list_tags(scope, RECORD), tag_live(scope)]]
    assert len(set(tags)) == len(tags)


def test_generations_share_what_is_their_services() -> None:
    """Service and live tag are those of all generations; nothing else is, also for one record."""
    new, old = SCOPE, replace(SCOPE, generation="11111111")
    assert tag_live(new) == tag_live(old)
    both = {*list_tags(new, RECORD)} & {*list_tags(old, RECORD)}
    assert both == {tag_service(new)} == {tag_service(old)}


def test_a_record_is_read_from_the_tags_that_hold_it() -> None:
    """In any order, among tags of others, and never half."""
    tags = list_tags(SCOPE, RECORD)
    assert unpack_record(SCOPE, ["backup", *reversed(tags), tag_live(SCOPE)]) == RECORD
    packed = [tag for tag in tags if ":record-" in tag]
    assert len(packed) > 1
    for lost in packed:
        with pytest.raises(LedgerError, match="cannot be read"):
            unpack_record(SCOPE, [tag for tag in tags if tag != lost])
    with pytest.raises(LedgerError, match="cannot be read"):
        unpack_record(replace(SCOPE, stack="dev"), tags)


def test_a_record_that_is_too_large_is_refused() -> None:
    """Before a droplet is made."""
    noise = {str(n): f"{n * n * 7919:x}{n**5:x}" for n in range(600)}
    with pytest.raises(LaunchError, match="does not fit"):
        list_tags(SCOPE, noise)


@pytest.mark.parametrize("scope", [SCOPE, LONGEST])
def test_tags_say_whose_a_droplet_is(scope: Scope) -> None:
    """With all letters, whoever looks; damaged or copied tags say nothing."""
    tags = [tag_live(scope), *list_tags(scope, {})]
    assert read_scope(tags) == scope
    assert read_scope([tag for tag in tags if ":scope-" not in tag]) is None
    assert read_scope([tag for tag in tags if tag != tag_generation(scope)]) is None
    assert read_scope(["web", "immutable:"]) is None


def test_a_generation_is_found_by_its_tag() -> None:
    """Only under its own scope: others' tags of the same form are theirs."""
    service, tags = replace(SCOPE, generation=""), list_tags(SCOPE, {})
    assert find_generation(service, tags) == "3f2a9c41"
    assert find_generation(replace(service, project="other"), tags) == ""
    assert find_generation(service, [tag_service(SCOPE), "backup"]) == ""


def test_words_have_values_or_none() -> None:
    """The end of a window is read as it was written, and a word alone is there."""
    tags = [tag_window(SCOPE, 12), make_tag("marked", SCOPE), "other:window-ends:13"]
    assert read_words(SCOPE, tags) == {"immutable:window-ends": "12", "immutable:marked": ""}
