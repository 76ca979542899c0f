"""What Google has to have for servers, zone by zone."""

from collections.abc import Sequence
from typing import Any

import pytest

from harness.gcp.scripted import PLACE, Google
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.targets.gcp import GcpTarget

WEB, LAUNCH = Scope("shop", "dev", "web"), Launch("n4-standard-2", 80, "/")
ZONES = ["europe-west3-a", "europe-west3-b"]
NETWORK = "https://x/projects/shop-123456/global/networks/default"
SUBNETS = {"items": [{"name": "default", "network": NETWORK}]}


def place(name: str, zones: Sequence[str], kind: str) -> dict[str, Any]:
    """Return a list of a thing that each of these zones has."""
    things = {zone: {kind: [{"name": name, "zone": f"https://x/zones/{zone}"}]} for zone in zones}
    return {"items": things}


def test_each_zone_of_the_servers_has_to_have_the_disks(google: Google) -> None:
    """A group would try for ever where they are not; zones of others are nobody's concern."""
    google.say("GET subnetworks", SUBNETS)
    google.say("GET machineTypes", place("n4-standard-2", ZONES, "machineTypes"))
    there = [*ZONES[1:], "us-east1-b"]
    google.say("GET diskTypes", place("hyperdisk-balanced", there, "diskTypes"))
    with pytest.raises(SettingsError, match="Servers of web could not be made") as caught:
        GcpTarget(PLACE).refuse_launch(WEB, LAUNCH)
    assert caught.value.facts == ("disk_type: there is no hyperdisk-balanced in europe-west3-a",)
    GcpTarget({**PLACE, "zones": ZONES[1:]}).refuse_launch(WEB, LAUNCH)


def test_an_answer_that_is_no_answer_is_told(google: Google) -> None:
    """Only who may not ask goes on; a Google that fails is an error."""
    google.say("GET subnetworks", SUBNETS)
    google.say("GET machineTypes", place("n4-standard-2", ZONES, "machineTypes"))
    google.say("GET diskTypes", place("hyperdisk-balanced", ZONES, "diskTypes"))
    google.refuse("GET serviceAccounts/web@a.example", 400, "invalid")
    accounts = {"service_accounts": {"web": "web@a.example"}}
    with pytest.raises(ImmutableError, match=r"refused iam\.serviceAccounts\.get"):
        GcpTarget({**PLACE, **accounts}).refuse_launch(WEB, LAUNCH)
