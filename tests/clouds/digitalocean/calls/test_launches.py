"""Servers that could not be made are refused before anything is baked for them."""

from dataclasses import replace
from typing import Any

import pytest

from harness.cloud_world import WEB
from harness.digitalocean.do_world import LAUNCH, ROUTE, World
from immutable_servers.errors import SettingsError

OLD = replace(WEB, generation="11111111")


def refuse(world: World, launch: Any = LAUNCH, **settings: object) -> tuple[str, ...]:  # noqa: ANN401 - a Launch
    """Return why servers are refused."""
    with pytest.raises(SettingsError, match="Servers of web could not be made") as caught:
        world.make_target(**settings).refuse_launch(WEB, launch)
    assert "doctor" in caught.value.todo
    return tuple(caught.value.facts)


def test_what_is_there_is_asked_once(world: World) -> None:
    """Each list costs a stack one call, whatever services it has; all that is wanted is there."""
    target = world.make_target()
    target.ask_once()
    world.cloud.read_new()
    for service in ("api", "jobs"):
        target.refuse_launch(replace(WEB, service=service), LAUNCH)
    asked = [one["call"] for one in world.cloud.read_new() if one["event"] == "api"]
    assert sorted(asked) == sorted({*asked})
    assert {*asked} == {
        "loadBalancers.list",
        "sizes.list",
        "account.get",
        "droplets.list",
    }


def test_a_size_that_the_region_lacks(world: World) -> None:
    """An override is a size, too; one that no region has is refused alike."""
    fact = "size s-1vcpu-512mb-10gb: fra1 does not have it"
    launch = replace(LAUNCH, size="s-1vcpu-512mb-10gb")
    assert refuse(world, launch) == (fact,)
    launch = replace(LAUNCH, overrides={"size": "s-99vcpu-1tb"})
    assert refuse(world, launch) == ("size s-99vcpu-1tb: fra1 does not have it",)


def test_a_disk_that_is_smaller_than_a_bake_s(world: World) -> None:
    """A snapshot is launched on disks of its own size and larger."""
    (fact,) = refuse(world, build_size="large")
    assert fact.startswith("size s-1vcpu-2gb: its disk has 50 GB, and images are baked on 160 GB")
    world.make_target(build_size="small").refuse_launch(WEB, LAUNCH)


def test_a_vpc_and_a_certificate_that_are_not_there(world: World) -> None:
    """A VPC of another region is none; a certificate is found by its name."""
    other = next(one["id"] for one in world.find_all("vpcs") if one["region"] != "fra1")
    facts = refuse(world, vpc=other, certificate="www")
    assert facts == (
        f"vpc: there is no {other} in fra1",
        "certificate: the account has none with the name www",
    )
    body = {"name": "www", "type": "custom", "private_key": "k", "leaf_certificate": "c"}
    world.call("POST", "certificates", body)
    world.make_target(certificate="www").refuse_launch(WEB, LAUNCH)


def test_an_account_without_room_for_a_droplet(world: World) -> None:
    """What others have counts."""
    world.make_fleet(replace(WEB, service="other", generation="11111111"), 2)
    world.cloud.put("account", "account", {"droplet_limit": 2})
    assert refuse(world) == ("droplet limit: the account has 2 of 2 droplets",)
    world.cloud.put("account", "account", {"droplet_limit": 3})
    world.make_target().refuse_launch(WEB, LAUNCH)


@pytest.mark.parametrize("changed", [{"port": 9000}, {"health": "/alive"}])
def test_another_port_or_path_beside_servers(world: World, changed: dict[str, Any]) -> None:
    """The balancer would take the servers that serve for sick; without any it may change."""
    target, launch = world.make_target(), replace(LAUNCH, **changed)
    target.refuse_launch(WEB, launch)
    world.make_fleet(OLD, 1)
    target.refuse_launch(WEB, LAUNCH)
    with pytest.raises(SettingsError, match="another port or health path") as caught:
        target.refuse_launch(WEB, launch)
    assert caught.value.facts[0] == f"{LAUNCH.port}{LAUNCH.health}: the generation now"


def test_another_vpc_under_a_balancer(world: World) -> None:
    """The provider would replace the balancer: another address, which leads to nobody."""
    world.make_fleet(OLD, 1)
    made = world.call("POST", "vpcs", {"name": "mine", "region": "fra1"})["vpc"]["id"]
    with pytest.raises(SettingsError, match="cannot move to another VPC") as caught:
        world.make_target(vpc=made).refuse_launch(WEB, LAUNCH)
    assert f"wanted: {made}" in caught.value.facts
    own = world.find_balancer()["vpc_uuid"]
    world.make_target(vpc=own).refuse_launch(WEB, LAUNCH)
    assert ROUTE.service == "web"


def test_a_vpc_that_the_settings_no_longer_name(world: World) -> None:
    """Servers would be in the default one, where the balancer does not reach them."""
    world.make_fleet(OLD, 1)
    made = world.call("POST", "vpcs", {"name": "mine", "region": "fra1"})["vpc"]["id"]
    world.cloud.put("load_balancers", world.find_balancer()["id"], {"vpc_uuid": made})
    with pytest.raises(SettingsError, match="cannot move to another VPC") as caught:
        world.make_target().refuse_launch(WEB, LAUNCH)
    assert f"it is in {made}" in caught.value.facts
    world.make_target(vpc=made).refuse_launch(WEB, LAUNCH)
