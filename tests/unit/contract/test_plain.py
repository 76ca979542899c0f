"""The plain forms of what passes between the core and the targets."""

import json

from harness.builders import make_record
from immutable_servers.contract.values import FleetSpec, Launch, Scope


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
