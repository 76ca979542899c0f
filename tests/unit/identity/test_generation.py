from typing import Any

import pulumi
import pytest

from immutable_servers.errors import SettingsError
from immutable_servers.identity import compute_generation_id

VERSION = "3f2a9c41d0e7"
LAUNCH: dict[str, Any] = {
    "size": "small",
    "port": 80,
    "health": "/healthz",
    "env": {"GREETING": "hello", "NAME": "Zoë"},
    "overrides": {},
}
SHAPE: dict[str, Any] = {"kernel": ["quiet", "rw"], "memory": 512}


def test_golden_id() -> None:
    """The id is pinned: a change here makes every user's next run a new generation."""
    assert compute_generation_id(VERSION, LAUNCH, SHAPE, 0) == "d916d30d"


@pytest.mark.parametrize(
    "changed",
    [
        ("000000000000", LAUNCH, SHAPE, 0),
        (VERSION, {**LAUNCH, "port": 81}, SHAPE, 0),
        (VERSION, {**LAUNCH, "env": {}}, SHAPE, 0),
        (VERSION, LAUNCH, {**SHAPE, "memory": 513}, 0),
        (VERSION, LAUNCH, {**SHAPE, "kernel": ["rw", "quiet"]}, 0),
        (VERSION, LAUNCH, SHAPE, 1),
    ],
)
def test_each_part_counts(changed: tuple[str, dict[str, Any], dict[str, Any], int]) -> None:
    """Image version, launch spec, shape and round each make another id."""
    assert compute_generation_id(*changed) != compute_generation_id(VERSION, LAUNCH, SHAPE, 0)


def test_order_and_number_type_do_not_count() -> None:
    """A mapping's order, and what Pulumi's state makes of numbers and tuples, change nothing."""
    launch = {**dict(reversed(LAUNCH.items())), "port": 80.0}
    shape = {"memory": 512.0, "kernel": ("quiet", "rw")}
    assert compute_generation_id(VERSION, launch, shape, 0) == compute_generation_id(
        VERSION, LAUNCH, SHAPE, 0
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [(pulumi.Output.from_input("x"), "Output"), (object(), "object"), (float("nan"), "float")],
)
def test_refuses_what_is_not_plain(value: object, kind: str) -> None:
    """An Output in a launch spec is refused by its path."""
    with pytest.raises(SettingsError, match=rf"generation\.launch\.env\.A .*\n.*{kind}"):
        compute_generation_id(VERSION, {"env": {"A": value}}, {}, 0)
