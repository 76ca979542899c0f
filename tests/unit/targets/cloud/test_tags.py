"""What clouds keep in names and tags: scopes, records and owners, and nobody else's."""

from dataclasses import replace

import pytest

from immutable_servers.contract.ownership import Owner
from immutable_servers.contract.values import Scope
from immutable_servers.errors import LaunchError, LedgerError, SettingsError
from immutable_servers.targets.cloud.tags import (
    Records,
    Tagging,
    clean,
    digest_scope,
    pack_owner,
    unpack_owner,
)

SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
WIDE, NARROW = Tagging("ours:", 256), Tagging("ours-", 63, lower=True)
OWNER = Owner("s3://state", "0a1b", "organization", "shop", "dev", "/é (new)/" + "x" * 900)
VALUES = {"env": {f"NAME_{number}": f"Value {number * 7919}" for number in range(50)}}


def test_scopes_whose_names_are_alike_have_other_digests() -> None:
    """A hyphen that moves from one part to the next makes another name."""
    assert digest_scope(Scope("a", "b-c")) != digest_scope(Scope("a-b", "c"))
    assert digest_scope(SCOPE) == digest_scope(replace(SCOPE))


@pytest.mark.parametrize(("text", "found"), [("a.b_c", "a-b"), ("--", "x"), ("", "x")])
def test_a_part_of_a_name_is_never_empty(text: str, found: str) -> None:
    """It has letters, digits and single hyphens between them."""
    assert clean(text, 4) == found


def test_a_scope_comes_back_from_its_tags() -> None:
    """Empty fields have no tag, and other tags are not looked at."""
    for scope in (SCOPE, Scope("shop", "dev")):
        tags = WIDE.write_scope(scope)
        assert WIDE.read_scope({**tags, "service": "other", "Name": "x"}) == scope
    assert "ours:service" not in WIDE.write_scope(Scope("shop", "dev"))


@pytest.mark.parametrize("tagging", [WIDE, NARROW], ids=["wide", "narrow"])
def test_values_come_back_from_tags_of_any_cloud(tagging: Tagging) -> None:
    """They are cut to what a value may hold, also where it holds lower case letters only."""
    tags = tagging.pack("record-", VALUES)
    assert len(tags) > 1
    assert all(len(value) <= tagging.longest for value in tags.values())
    if tagging.lower:
        assert set("".join(tags.values())) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert tagging.unpack("record-", {**tags, "Name": "x"}) == VALUES
    tags.popitem()
    with pytest.raises(ValueError, match=r"."):
        tagging.unpack("record-", tags)


def test_a_record_fits_or_is_refused_and_damaged_is_never_empty() -> None:
    """What was launched with a record is read with it, or not at all."""
    records = Records(WIDE, most=4)
    assert records.parse(records.render(VALUES), "group") == VALUES
    with pytest.raises(LaunchError, match="does not fit"):
        Records(WIDE, most=1).render(VALUES)
    with pytest.raises(LedgerError, match="of the group web-1 cannot be read"):
        records.parse({}, "web-1")


def test_an_env_leaves_room_for_the_rest_of_its_record() -> None:
    """It is refused by itself, before anything is launched with it."""
    Records(WIDE, most=40).check_env(VALUES["env"])
    with pytest.raises(SettingsError, match="cannot carry this env"):
        Records(WIDE, most=9).check_env(VALUES["env"])


def test_an_owner_is_kept_where_it_fits() -> None:
    """One that nobody wrote, that is damaged or that is too long is none."""
    assert unpack_owner(WIDE, pack_owner(WIDE, OWNER)) == OWNER
    assert unpack_owner(WIDE, {}) is None
    assert unpack_owner(WIDE, WIDE.pack("owner-", {"backend": "x"})) is None
    noise = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(3000))
    assert pack_owner(WIDE, replace(OWNER, checkout=noise)) == {}
