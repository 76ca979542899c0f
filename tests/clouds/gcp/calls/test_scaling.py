"""Autoscalers beside the pointer: what serves is whole, wherever a run that moves it is killed."""

from dataclasses import replace
from typing import Any

import pytest

from harness.cloud_world import STACK, WEB
from harness.gcp.cloud import REGION
from harness.gcp.gcp_world import SOON, World
from immutable_servers.contract.ownership import Holdings, Owner
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.groups import GROUPS
from immutable_servers.targets.gcp.names import make_name
from immutable_servers.targets.gcp.scaling import AUTOSCALERS, GROWS, OFF, ON

OLD, NEW = replace(WEB, generation="11111111"), replace(WEB, generation="22222222")
OWNER = Owner("file:///state", "0a1b", "organization", STACK.project, STACK.stack, "/checkout")
LIMITS = {"max": 6, "cpu": 50}
PATCH, MOVE = "compute.regionAutoscalers.patch", "compute.urlMaps.patch"


@pytest.fixture
def scaled(world: World) -> World:
    """Return the project with one generation that serves, and a candidate; both are scaled."""
    for scope, mode in ((OLD, ON), (NEW, OFF)):
        world.make_fleet(scope)
        world.make_scaler(scope, mode)
        world.wait_until_healthy(scope)
    make(world).balancer.set_traffic(WEB, {"11111111": 100})
    make(world).balancer.release(WEB)
    world.cloud.read_new()
    return world


def make(world: World) -> GcpTarget:
    """Return a target that scales the service."""
    return world.make_target(scaling={"web": LIMITS})


def find_modes(world: World) -> dict[str, str]:
    """Return the mode of each autoscaler by its generation, as Google has it."""
    found = world.call(AUTOSCALERS, "list", region=REGION).get("items", ())
    return {one["name"].split("-")[-2]: one["autoscalingPolicy"]["mode"] for one in found}


def find_policy(world: World, scope: Any) -> dict[str, Any]:  # noqa: ANN401 - a scope
    """Return the policy of a generation's autoscaler."""
    found = world.call(AUTOSCALERS, "get", region=REGION, autoscaler=make_name(scope))
    return dict(found["autoscalingPolicy"])


def count(world: World, scope: Any) -> int:  # noqa: ANN401 - a scope
    """Return the number that a generation's group is to hold."""
    group = world.call(GROUPS, "get", region=REGION, instanceGroupManager=make_name(scope))
    return int(group["targetSize"])


def list_changes(world: World) -> list[str]:
    """Return the calls since the last look that change something, in their order."""
    calls = [one["call"] for one in world.cloud.read_new() if one["event"] == "api"]
    return [one for one in calls if one.endswith((".patch", ".resize", ".delete"))]


def test_a_move_holds_then_moves_then_releases(scaled: World) -> None:
    """Nobody shrinks from before the move until it is over; a second look changes nothing."""
    balancer = make(scaled).balancer
    assert find_modes(scaled) == {"11111111": ON, "22222222": OFF}
    assert balancer.is_released(WEB)
    balancer.set_traffic(WEB, {"22222222": 100})
    assert list_changes(scaled) == [PATCH, PATCH, MOVE]
    assert find_modes(scaled) == {"11111111": GROWS, "22222222": GROWS}
    assert not balancer.is_released(WEB)
    balancer.release(WEB)
    assert list_changes(scaled) == [PATCH, PATCH]
    assert find_modes(scaled) == {"11111111": OFF, "22222222": ON}
    assert balancer.is_released(WEB)
    balancer.release(WEB)
    assert list_changes(scaled) == []


def test_parts_of_the_traffic_only_let_grow(scaled: World) -> None:
    """A canary and who has the rest may grow while it is watched, and after it went back."""
    balancer = make(scaled).balancer
    balancer.set_traffic(WEB, {"11111111": 90, "22222222": 10})
    assert balancer.is_released(WEB)
    balancer.set_traffic(WEB, {"11111111": 100})
    assert find_modes(scaled) == {"11111111": GROWS, "22222222": GROWS}
    balancer.release(WEB)
    assert find_modes(scaled) == {"11111111": ON, "22222222": OFF}


@pytest.mark.parametrize("failing", [PATCH, MOVE])
def test_a_move_that_fails_half_way_leaves_what_serves_whole(scaled: World, failing: str) -> None:
    """Until traffic has moved the old one may at most not shrink; the next run mends that."""
    scaled.cloud.set_fault(failing, "forbidden", code=403, message="a fault")
    balancer = make(scaled).balancer
    with pytest.raises(Exception, match="a fault"):
        balancer.set_traffic(WEB, {"22222222": 100})
    assert balancer.find_weights(WEB) == {"11111111": 100}
    assert find_modes(scaled)["11111111"] in (ON, GROWS)
    balancer.release(WEB)
    assert find_modes(scaled) == {"11111111": ON, "22222222": OFF}


def test_without_the_setting_nobody_is_asked(scaled: World) -> None:
    """What somebody else scales is theirs."""
    balancer = scaled.make_target().balancer
    balancer.set_traffic(WEB, {"22222222": 100})
    balancer.release(WEB)
    assert balancer.is_released(WEB)
    events = [one.get("call", "") for one in scaled.cloud.read_new()]
    assert not [call for call in events if "utoscaler" in call]
    assert find_modes(scaled) == {"11111111": ON, "22222222": OFF}


def test_who_serves_and_has_no_autoscaler_yet_is_not_done(scaled: World) -> None:
    """A preview of the run that makes it says that traffic has something to do."""
    make(scaled).balancer.autoscalers.remove(OLD)
    assert not make(scaled).balancer.is_released(WEB)


def test_limits_change_in_place(scaled: World) -> None:
    """Mode and number stay, but for the least: where nobody scales we set it, and else we wait."""
    autoscalers = make(scaled).balancer.autoscalers
    for scope in (OLD, NEW):
        mode = find_policy(scaled, scope)["mode"]
        autoscalers.limit(scope, 3, {"max": 5, "cpu": 70})
        assert find_policy(scaled, scope) == {
            "minNumReplicas": 3,
            "maxNumReplicas": 5,
            "cpuUtilization": {"utilizationTarget": 0.7},
            "mode": mode,
        }
        assert count(scaled, scope) == 3
    assert list_changes(scaled) == [PATCH, PATCH, "compute.regionInstanceGroupManagers.resize"]
    autoscalers.limit(NEW, 2, {"max": 5, "cpu": 70})
    autoscalers.limit(NEW, 9, {"max": 5, "cpu": 70})
    assert (find_policy(scaled, NEW)["minNumReplicas"], count(scaled, NEW)) == (5, 5)


def test_what_no_one_scales_any_more_keeps_its_number(scaled: World) -> None:
    """It can be resized then, which Google refuses while it is scaled."""
    scaled.cloud.set_manners(load={"web": 1.9})
    assert wait_until("more", SOON, lambda: count(scaled, OLD) == 4, every=0.05)
    target = make(scaled)
    with pytest.raises(Exception, match="autoscaled"):
        target.fleets.groups.resize(OLD, 2)
    for _ in range(2):
        target.balancer.autoscalers.remove(OLD)
    assert find_modes(scaled) == {"22222222": OFF}
    assert count(scaled, OLD) == 4
    target.fleets.groups.resize(OLD, 2)
    assert count(scaled, OLD) == 2


STEPS = ("resize", "autoscalers.delete", "GroupManagers.delete")


@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_that_failed_half_way_is_finished(scaled: World, step: str) -> None:
    """Wherever it stopped nothing scales the fleet again, and the next deletion ends it."""
    call = {
        "resize": "compute.regionInstanceGroupManagers.resize",
        "autoscalers.delete": "compute.regionAutoscalers.delete",
        "GroupManagers.delete": "compute.regionInstanceGroupManagers.delete",
    }[step]
    target = scaled.make_target()  # the settings that a generation was made with may have had none
    target.balancer.set_traffic(WEB, {"22222222": 100})
    scaled.cloud.set_fault(call, "forbidden", code=403, message="a fault")
    with pytest.raises(Exception, match="a fault"):
        target.fleets.delete(OLD)
    assert find_modes(scaled).get("11111111", OFF) == OFF
    target.fleets.delete(OLD)
    assert {*target.fleets.find(WEB)} == {"22222222"}
    assert {*find_modes(scaled)} == {"22222222"}


def test_a_sweep_takes_autoscalers_along(scaled: World) -> None:
    """With a fleet that no stack knows goes what scales it, also by a name of somebody else."""
    name = make_name(NEW)
    scaled.call(AUTOSCALERS, "delete", region=REGION, autoscaler=name)
    target = f"projects/emulated-project/regions/{REGION}/instanceGroupManagers/{name}"
    policy = {"minNumReplicas": 1, "maxNumReplicas": 3, "mode": ON}
    body = {"name": "by-hand", "target": target, "autoscalingPolicy": policy}
    scaled.insert(AUTOSCALERS, body, region=REGION)
    make(scaled).balancer.set_traffic(WEB, {})
    ownership = scaled.make_target().ownership
    ownership.begin_update(OWNER, [])

    def ask(_owner: object) -> Holdings:
        return Holdings(exists=True, names=frozenset())

    left = [*ownership.find_leftovers(ask)]
    assert [(one.kind, one.sure) for one in left] == [("fleet", True), ("fleet", True)]
    for one in left:
        ownership.remove_leftover(one, ask)
    assert ownership.find_scopes() == []
    assert scaled.call(AUTOSCALERS, "list", region=REGION).get("items", []) == []


def test_a_new_generation_starts_as_large_as_the_one_that_serves(scaled: World) -> None:
    """Of all groups that count alone which get the service's traffic, in whatever parts."""
    from immutable_servers.targets.gcp.found import Found  # noqa: PLC0415 - as a program does

    scaled.cloud.set_manners(load={"web": 1.9})
    assert wait_until("more", SOON, lambda: count(scaled, OLD) == 4, every=0.05)
    target = make(scaled)
    found = Found(STACK, target.fleets.groups)
    assert found.count_serving("web") == 4
    assert found.count_serving("api") == 0
    assert found.find_autoscaler(make_name(OLD)).endswith(f"/autoscalers/{make_name(OLD)}")  # type: ignore[union-attr]
    assert found.find_autoscaler(make_name(replace(WEB, generation="33333333"))) is None
