"""Servers that could not be made are refused before anything is baked for them."""

from dataclasses import replace

import pytest

from harness.cloud_world import WEB
from harness.gcp.cloud import PROJECT
from harness.gcp.gcp_world import LAUNCH, PLACE, World
from immutable_servers.errors import SettingsError

OURS = f"web@{PROJECT}.iam.gserviceaccount.com"
THEIRS = "web@others.iam.gserviceaccount.com"


def refuse(world: World, **settings: object) -> SettingsError:
    """Return why servers are refused."""
    with pytest.raises(SettingsError, match="Servers of web could not be made") as caught:
        world.make_target(**settings).refuse_launch(WEB, LAUNCH)
    assert "Correct disk_type" in caught.value.todo
    return caught.value


def list_calls(world: World) -> list[str]:
    """Return what was asked since the last time."""
    return [one["call"] for one in world.cloud.read_new() if one["event"] == "api"]


def test_what_is_there_is_asked_once(world: World) -> None:
    """Subnets, zones and disks cost a stack one call each, whatever services it has."""
    target = world.make_target(disk_type="pd-ssd")
    target.ask_once()
    world.cloud.read_new()
    for scope in (WEB, replace(WEB, service="api")):
        target.refuse_launch(scope, LAUNCH)
    asked = ["subnetworks.list", "machineTypes.aggregatedList", "diskTypes.aggregatedList"]
    assert list_calls(world) == [f"compute.{one}" for one in asked]


def test_servers_that_are_cut_off(world: World) -> None:
    """Without addresses and NAT they would not reach their secrets: nothing is baked for them."""
    target = world.make_target(public_addresses=False, verify_through="private")
    with pytest.raises(SettingsError, match="Servers without an external address would not reach"):
        target.refuse_launch(WEB, LAUNCH)


def test_a_type_of_disk_that_is_not_there(world: World) -> None:
    """Each zone of the servers is named; another machine type may be an override."""
    zones = ["europe-west3-a", "europe-west3-c"]
    error = refuse(world, disk_type="pd-sdd", zones=zones)
    assert error.facts == (f"disk_type: there is no pd-sdd in {', '.join(zones)}",)
    launch = replace(LAUNCH, overrides={"machine_type": "n9-standard-1"})
    with pytest.raises(SettingsError, match="machines of the type n9-standard-1"):
        world.make_target().refuse_launch(WEB, launch)


def test_an_account_that_is_not_there(world: World) -> None:
    """It is named with its service; of a service whose own account we make nothing is asked."""
    accounts = {"web": OURS}
    error = refuse(world, service_accounts=accounts)
    assert error.facts == (f"service_accounts: web: there is no account {OURS}",)
    world.make_target(service_accounts=accounts).refuse_launch(replace(WEB, service="api"), LAUNCH)
    accounts_api = world.cloud.client("iam").projects().serviceAccounts()
    accounts_api.create(name=PLACE, body={"accountId": "web"}).execute()
    world.make_target(service_accounts=accounts).refuse_launch(WEB, LAUNCH)


def test_an_account_that_we_may_not_see(world: World) -> None:
    """It may be of another project, where nobody gave us a role: Google has the last word."""
    world.cloud.deny("iam.serviceAccounts.get")
    world.make_target(service_accounts={"web": THEIRS}).refuse_launch(WEB, LAUNCH)
