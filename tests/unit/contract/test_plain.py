"""The plain forms of what passes between the core and the targets."""

import json

from harness.builders import make_record
from immutable_servers.contract.front import Front
from immutable_servers.contract.values import FleetSpec, Launch, Route, Scope


def test_a_spec_comes_back_from_the_engine_as_it_was() -> None:
    """The engine makes every number a float; a later program may have written more keys."""
    launch = Launch("small", 80, "/", env={"A": "1"}, overrides={"disk": {"gb": 20, "share": 0.5}})
    record = make_record("3f2a9c41", "v1", 1).to_plain()
    spec = FleetSpec(Scope("shop", "dev", "web", "3f2a9c41"), "app/v1", launch, 2, record)
    plain = json.loads(json.dumps(spec.to_plain()), parse_int=float)
    plain["later"] = plain["launch"]["later"] = plain["scope"]["later"] = 1.0
    read = FleetSpec.from_plain(plain)
    assert read == spec
    assert json.dumps(read.to_plain()) == json.dumps(spec.to_plain())


def test_the_header_is_in_no_id_unless_it_is_switched_off() -> None:
    """A setting that came later changes no generation by its default."""
    usual, silent = (Launch("small", 80, "/", generation_header=on) for on in (True, False))
    assert usual.to_plain() == {
        "size": "small",
        "port": 80,
        "health": "/",
        "env": {},
        "overrides": {},
    }
    assert silent.to_plain() == {**usual.to_plain(), "generation_header": False}
    assert Launch.from_plain(silent.to_plain()) == silent
    assert Launch.from_plain(usual.to_plain()) == usual


def test_a_route_keeps_its_form_inside_of_another_one() -> None:
    """States of earlier programs say nothing of reserved addresses: no resource changes by them."""
    front = Front(Route("web", 8080), "/healthz", 1.0)
    assert front.to_plain()["route"] == {"service": "web", "port": 8080, "host": ""}
    reserved = Front(Route("web", 80, reserved_ip=True), "/healthz", 1.0)
    assert Front.from_plain(reserved.to_plain()) == reserved
