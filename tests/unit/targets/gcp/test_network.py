"""Where servers stand, and what they reach without addresses of their own."""

from collections.abc import Mapping
from typing import Any

import pytest

from harness.gcp.scripted import PLACE, Google
from immutable_servers.errors import SettingsError
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.network import find_subnetwork, find_zones, refuse_cut_off

ROOT = "https://www.googleapis.com/compute/v1/projects/shop-123456"
DEFAULT = {"name": "default", "network": f"{ROOT}/global/networks/default"}
OTHER = {"name": "servers", "network": f"{ROOT}/global/networks/other"}
NAT = {"name": "nat", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
LISTED = {
    "name": "nat",
    "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
    "subnetworks": [{"name": f"{ROOT}/regions/europe-west3/subnetworks/default"}],
}
GATEWAY = {
    "destRange": "0.0.0.0/0",
    "network": DEFAULT["network"],
    "nextHopGateway": f"{ROOT}/global/gateways/default-internet-gateway",
}


def make_api(**settings: Any) -> Api:  # noqa: ANN401 - settings of any kind
    """Return what asks, with further settings."""
    return GcpTarget({**PLACE, "attempts": 1, **settings}).api


def answer(
    google: Google,
    *,
    subnetwork: Mapping[str, Any] = DEFAULT,
    nats: Mapping[str, Any] | None = None,
    routes: tuple[Mapping[str, Any], ...] = (GATEWAY,),
) -> None:
    """Let Google have a subnet, a router with a NAT where one is given, and routes."""
    routers = [{"network": DEFAULT["network"], "nats": [nats]}] if nats else []
    google.say("GET subnetworks", {"items": [OTHER, subnetwork]})
    google.say("GET routers", {"items": routers})
    google.say("GET routes", {"items": [*routes]})


def test_the_subnet_is_the_networks_or_the_named_one(google: Google) -> None:
    """One of another network, or none, is a mistake in the settings."""
    answer(google)
    assert find_subnetwork(make_api()) == DEFAULT
    assert find_subnetwork(make_api(network="other", subnetwork="servers")) == OTHER
    with pytest.raises(SettingsError, match="network default has no subnet servers in europe"):
        find_subnetwork(make_api(subnetwork="servers"))
    with pytest.raises(SettingsError, match="network third has no subnet in europe-west3"):
        find_subnetwork(make_api(network="third"))


def test_zones_are_those_that_have_the_machines(google: Google) -> None:
    """One question for all zones; without any the preview says where there are some."""
    types = {
        f"zones/{zone}": {"machineTypes": [{"name": "e2-small", "zone": zone}]}
        for zone in ("europe-west3-c", "europe-west3-a", "us-east1-b")
    }
    google.say("GET aggregated/machineTypes", {"items": types})
    assert find_zones(make_api(), "e2-small") == ["europe-west3-a", "europe-west3-c"]
    assert len(google.asked) == 1
    zones = ["europe-west3-b", "europe-west3-c"]
    assert find_zones(make_api(zones=zones), "e2-small") == ["europe-west3-c"]
    with pytest.raises(SettingsError, match="No zone of the servers") as caught:
        find_zones(make_api(zones=["europe-west3-b"]), "e2-small")
    assert "europe-west3-a, europe-west3-c" in caught.value.facts[0]


def test_with_addresses_a_subnet_will_do(google: Google) -> None:
    """They reach all that there is; a network that is not there is refused in the preview."""
    answer(google)
    refuse_cut_off(make_api(), bakes=True)
    # A bake that Packer reaches over the internet has one, whatever servers have.
    refuse_cut_off(make_api(public_addresses=False, build_through="ssh"), bakes=True)
    assert [one.path.rpartition("/")[2] for one in google.asked] == ["subnetworks"] * 2
    with pytest.raises(SettingsError, match="The network servers has no subnet"):
        refuse_cut_off(make_api(network="servers"), bakes=False)


@pytest.mark.parametrize("nat", [NAT, LISTED])
def test_a_nat_will_do(google: Google, nat: Mapping[str, Any]) -> None:
    """For all subnets of the network, or for this one by its name; two questions."""
    answer(google, nats=nat)
    refuse_cut_off(make_api(public_addresses=False), bakes=True)
    assert len(google.asked) == 2


def test_a_way_of_ones_own_will_do(google: Google) -> None:
    """A firewall machine, or a tunnel, that all traffic goes through."""
    own = {**GATEWAY, "nextHopIp": "10.0.0.9"}
    del own["nextHopGateway"]
    answer(google, routes=(GATEWAY, own))
    refuse_cut_off(make_api(public_addresses=False), bakes=True)


def test_servers_need_google_alone(google: Google) -> None:
    """With Private Google Access they reach their secrets; a bake needs packages beside."""
    answer(google, subnetwork={**DEFAULT, "privateIpGoogleAccess": True})
    api = make_api(public_addresses=False)
    refuse_cut_off(api, bakes=False)
    assert len(google.asked) == 1
    with pytest.raises(SettingsError, match="A bake without an external address"):
        refuse_cut_off(api, bakes=True)


@pytest.mark.parametrize(
    ("nat", "bakes"),
    [
        (None, True),
        (None, False),
        ({**LISTED, "subnetworks": [{"name": f"{ROOT}/regions/r/subnetworks/other"}]}, True),
    ],
)
def test_what_is_cut_off_is_refused(
    google: Google,
    nat: Mapping[str, Any] | None,
    bakes: bool,  # noqa: FBT001 - a test's parameter
) -> None:
    """In the preview, with the ways out; a network's own gateway serves who has an address."""
    answer(google, nats=nat)
    with pytest.raises(SettingsError, match="without an external address") as caught:
        refuse_cut_off(make_api(public_addresses=False), bakes=bakes)
    assert "gcloud compute routers nats create" in caught.value.todo
