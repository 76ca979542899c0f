"""The launch data that servers are handed: its bytes are part of what is never changed."""

import json
import time

import pytest

from immutable_servers.contract.values import Scope
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


def test_a_server_may_have_its_own_name() -> None:
    """Where each server is handed a text of its own, its name is in it."""
    data = describe_launch(SCOPE, {}, "", 0, server="web-3f2a9c41-0")
    assert data["server"] == "web-3f2a9c41-0"


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
