"""A load balancer on an emulated cloud: what it points to and how it is moved."""

from dataclasses import replace

import pytest

from harness.cloud_world import WEB, CloudWorld
from immutable_servers.contract.values import Scope
from immutable_servers.errors import RetirementError, TrafficError

OLD, NEW = replace(WEB, generation="11111111"), replace(WEB, generation="22222222")


class Traffic:
    """Moves of traffic, and what holds a fleet."""

    def test_traffic_is_moved_by_weights_and_read_back(self, world: CloudWorld) -> None:
        """All to one, a share to another, all to that one, none: each is what the balancer says.

        A share is refused where the balancer has no weights, and changes nothing.
        """
        _make_fleets(world, OLD, NEW)
        target, shares = world.make_target(), {"11111111": 90, "22222222": 10}
        balancer = target.balancer
        for weights in ({"11111111": 100}, shares, {"22222222": 100}, {}):
            if weights is shares and not target.can_weigh:
                with pytest.raises(TrafficError, match="cannot be shared"):
                    balancer.set_traffic(WEB, weights)
                assert balancer.find_weights(WEB) == {"11111111": 100}
                continue
            balancer.set_traffic(WEB, weights)
            assert balancer.find_weights(WEB) == weights

    def test_a_group_without_a_healthy_server_gets_no_traffic(self, world: CloudWorld) -> None:
        """A missing group and an empty one are refused; empty is not healthy."""
        _make_fleets(world, OLD)
        balancer = world.make_target().balancer
        balancer.set_traffic(WEB, {"11111111": 100})
        with pytest.raises(TrafficError, match="missing or empty"):
            balancer.set_traffic(WEB, {"22222222": 100})
        world.make_fleet(NEW, servers=0)
        with pytest.raises(TrafficError, match="no healthy server"):
            balancer.set_traffic(WEB, {"22222222": 100})
        assert balancer.find_weights(WEB) == {"11111111": 100}

    def test_another_stack_is_not_seen(self, world: CloudWorld) -> None:
        """The same service of another stack or project has no traffic, fleets and servers here."""
        _make_fleets(world, OLD)
        world.make_target().balancer.set_traffic(WEB, {"11111111": 100})
        for other in (replace(WEB, stack="prod"), replace(WEB, project="else")):
            target = world.make_target()
            assert target.balancer.find_weights(other) == {}
            assert target.fleets.find(other) == {}
            assert target.fleets.find_servers(replace(other, generation="11111111")) == []

    def test_what_serves_is_not_deleted(self, world: CloudWorld) -> None:
        """A fleet with traffic is refused; without it all of it goes, and again is no error."""
        _make_fleets(world, OLD)
        target = world.make_target()
        target.balancer.set_traffic(WEB, {"11111111": 100})
        with pytest.raises(RetirementError, match="100 %"):
            target.fleets.delete(OLD)
        assert len(target.fleets.find_servers(OLD)) == 2
        target.balancer.set_traffic(WEB, {})
        for _ in range(2):
            target.fleets.delete(OLD)
        assert target.fleets.find(WEB) == {}
        assert world.find_left(OLD) == []


def _make_fleets(world: CloudWorld, *scopes: Scope) -> None:
    for scope in scopes:
        world.make_fleet(scope)
    for scope in scopes:
        world.wait_until_healthy(scope)
