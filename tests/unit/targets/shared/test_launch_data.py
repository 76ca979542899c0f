"""The launch data that servers are handed: its bytes are part of what is never changed."""

import json
import secrets
import time

import pytest

from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets import load_target
from immutable_servers.targets.shared.launch_data import (
    describe_bake,
    describe_launch,
    render_launch,
    seal_launch,
)

SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
OPEN = (
    '{"env": {"B": "2"}, "generation": "3f2a9c41", "login_key": "ssh-ed25519 A",'
    ' "service": "web", "window_ends": 99}'
)


def test_the_same_launch_is_the_same_text() -> None:
    """A frozen generation is compared with it: another byte would be another fleet."""
    assert render_launch(describe_launch(SCOPE, {"B": "2"}, "ssh-ed25519 A", 99)) == OPEN


def test_peoples_key_is_handed_over_where_there_is_one() -> None:
    """It opens a server too, so a sealed text has it no more than the verifier's."""
    data = describe_launch(SCOPE, {}, "ssh-ed25519 A", 99, inspection_key="ssh-ed25519 B")
    assert data["inspection_key"] == "ssh-ed25519 B"
    assert "ssh-ed25519" not in seal_launch(render_launch(data))


def test_a_server_may_have_its_own_name() -> None:
    """Where each server is handed a text of its own, its name is in it."""
    data = describe_launch(SCOPE, {}, "", 0, server="web-3f2a9c41-0")
    assert data["server"] == "web-3f2a9c41-0"


def test_only_a_switch_is_said_about_the_header() -> None:
    """By default launch data is what it was before there was one."""
    off = describe_launch(SCOPE, {}, "", 0, header=False)
    assert off == {**describe_launch(SCOPE, {}, "", 0), "generation_header": False}


def test_sealed_launch_data_opens_nothing() -> None:
    """Key and window go, the rest stays; what is sealed already stays as it is."""
    sealed = seal_launch(OPEN)
    assert json.loads(sealed) == {"env": {"B": "2"}, "generation": "3f2a9c41", "service": "web"}
    assert seal_launch(sealed) == sealed
    with pytest.raises(ValueError, match="Expecting value"):
        seal_launch("#!/bin/sh")


def test_a_bake_is_open_until_its_deadline() -> None:
    """Its guest takes the bake's key, and no key after the bake."""
    data = describe_bake("000000000001", "ssh-ed25519 A", 60)
    assert data["login_key"] == "ssh-ed25519 A"
    assert time.time() < data["window_ends"] <= time.time() + 60
    assert data["bake_seconds"] == 60


@pytest.mark.parametrize("target", ["local", "aws"])
def test_an_env_that_launch_data_cannot_carry_is_refused(target: str) -> None:
    """A certificate fits, a value of 60,000 bytes does not: the preview asks before a launch."""
    settings = {"region": "eu-west-1"} if target == "aws" else {}
    found = load_target(target, settings)
    lines = [secrets.token_hex(32) for _ in range(40)]
    found.check_env({"PEM": "\n".join(lines), "D": "a$b ${C} 100% 'x' \\ end"})
    with pytest.raises(SettingsError) as caught:
        found.check_env({"PEM": "x" * 60_000})
    assert caught.value.facts[0].startswith("60011 bytes of JSON, at most ")
