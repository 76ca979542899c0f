"""The pin: what an older program wrote is read, and written as it was."""

import json

import pytest

from immutable_servers.driver.commands.status.models import ServiceStatus
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import HeldOff, Pinned
from immutable_servers.ledger.reader import parse_ledgers
from immutable_servers.planning.requests import VARIABLE, Request, read_request

ROLLBACK = {"generation": "3f2a9c41", "who": "me", "at": "then", "why": "errors", "left": "v1"}
PINS = [
    {},
    ROLLBACK,
    {**ROLLBACK, "left": ""},
    {**ROLLBACK, "again": "9ed3c0d7"},
    {"generation": "3f2a9c41", "who": "me", "at": "now", "why": "errors"},
    {"generation": "3f2a9c41"},
    {"held": "v1", "instead": "3f2a9c41"},
    {"held": "v1"},
]
"""As programs wrote them so far, and as the how-to has a pin written by hand."""


@pytest.mark.parametrize("plain", PINS)
def test_a_pin_is_written_as_it_was_read(plain: dict[str, str]) -> None:
    """The ledger, the request and the status of a pin are the same text, byte for byte."""
    ledger = parse_ledgers({"web": {"generations": {}, "pin": plain}})["web"]
    text = json.dumps(plain)
    assert json.dumps(ledger.to_plain()["pin"]) == text
    assert json.dumps(json.loads(Request(pins={"web": ledger.pin}).render())["pins"]["web"]) == text
    status = ServiceStatus(name="web", address="", pin=ledger.pin, generations=(), source=None)
    assert json.dumps(status.model_dump(mode="json")["pin"]) == text


def test_a_ledger_without_a_pin_has_none() -> None:
    """So it is in a ledger that was written before there were pins, and for an empty one."""
    services: list[dict[str, object]] = [{"generations": {}}, {"generations": {}, "pin": {}}]
    for service in services:
        assert parse_ledgers({"web": service})["web"].pin is None


def test_each_shape_has_its_type() -> None:
    """A rollback pins a generation; a resume holds off what was left."""
    read = parse_ledgers(
        {
            "web": {"generations": {}, "pin": {**ROLLBACK, "unknown": "later"}},
            "api": {"generations": {}, "pin": {"held": "v1", "instead": "old"}},
        }
    )
    assert read["web"].pin == Pinned("3f2a9c41", who="me", at="then", why="errors", left="v1")
    assert read["api"].pin == HeldOff("v1", instead="old")


def test_a_request_with_an_unreadable_pin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one does not take the pin away."""
    monkeypatch.setenv(VARIABLE, json.dumps({"pins": {"web": {"generaton": "3f2a9c41"}}}))
    with pytest.raises(SettingsError, match="neither a generation nor one"):
        read_request()
