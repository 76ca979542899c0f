"""Settings of the gcp target, and what they mean."""

from typing import Any

import pytest

from harness.gcp.scripted import PLACE
from immutable_servers.contract.location import Location
from immutable_servers.contract.values import Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.gcp import GcpSettings, GcpTarget


def make(**settings: Any) -> GcpSettings:  # noqa: ANN401 - settings of any kind
    """Return settings of a project."""
    return GcpSettings.model_validate({**PLACE, **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"verify_through": "ssh_config"}, "needs the file's name as ssh_config"),
        ({"verify_through": "public", "public_addresses": False}, "needs public_addresses"),
        ({"redirect": 80}, "redirect needs a certificate"),
        ({"zones": ["us-east1-b"]}, "zones must be in the region europe-west3"),
        ({"build_zone": "us-east1-b"}, "zones must be in the region europe-west3"),
        ({"project": "123456"}, "project"),
        ({"region": "europe-west3-a"}, "region"),
        ({"network": "projects/host/global/networks/shared"}, "network"),
        ({"certificate": ["example"]}, "certificate"),
        ({"certificate": [f"{one}.example.com" for one in range(16)]}, "takes 15 domains"),
        ({"certificate": ["www.example.com"] * 2}, "each once"),
        ({"service_accounts": {"web": "web"}}, "service_accounts"),
        ({"attempts": 0}, "attempts"),
        ({"scaling": {"web": {"cpu": 60}}}, "scaling.web.max"),
        ({"scaling": {"web": {"max": 6, "cpu": 0}}}, "scaling.web.cpu"),
        ({"scaling": {"web": {"max": 6, "cpu": 101}}}, "scaling.web.cpu"),
        ({"scaling": {"web": {"max": 6, "min": 2}}}, "scaling.web.min"),
    ],
)
def test_mistakes_are_refused(settings: dict[str, Any], said: str) -> None:
    """Before Google is asked, by the name of the setting."""
    with pytest.raises(ValueError, match=said):
        make(**settings)


def test_limits_fit_the_services() -> None:
    """Those of a service that there is not, and fewer than `servers`, are refused with the rest."""
    limits = {"web": {"max": 2}, "api": {"max": 1}, "wbe": {"max": 6}}
    target = GcpTarget({**PLACE, "scaling": limits})
    assert target.find_misfits({"web": 2, "api": 2}) == {
        "scaling.api.max": "must be 2 or more, as servers says",
        "scaling.wbe": "is no service of this stack: web, api",
    }
    assert GcpTarget(PLACE).find_misfits({"web": 2}) == {}


def test_servers_are_reached_by_what_they_have() -> None:
    """Over the internet where they have addresses, else through Google's proxy."""
    assert (make().reach, make().build_reach) == ("public", "ssh")
    private = make(public_addresses=False)
    assert (private.reach, private.build_reach) == ("iap", "iap")
    assert make(verify_through="private", build_through="private").reach == "private"


def test_a_certificate_makes_it_https() -> None:
    """Port and protocol follow."""
    assert (make().protocol, make().host_port) == ("HTTP", 80)
    secure = make(certificate=["www.example.com"], redirect=80)
    assert (secure.protocol, secure.host_port) == ("HTTPS", 443)
    assert make(shared_port=8443).host_port == 8443


def test_sizes() -> None:
    """Small, medium and large are there for both architectures, and Google's own words."""
    target = GcpTarget({**PLACE, "sizes": {"small": "e2-micro", "huge": "n2-standard-64"}})
    assert target.resolve_size("small") == {"machine_type": "e2-micro"}
    assert target.resolve_size("huge") == {"machine_type": "n2-standard-64"}
    assert target.resolve_size("medium") == {"machine_type": "e2-standard-2"}
    assert target.resolve_size("n2d-highcpu-8") == {"machine_type": "n2d-highcpu-8"}
    arm = GcpTarget({**PLACE, "architecture": "arm64"})
    assert arm.resolve_size("small") == {"machine_type": "c4a-standard-1"}
    with pytest.raises(SettingsError, match="no size 'Large' on gcp"):
        target.resolve_size("Large")


@pytest.mark.parametrize(
    ("machine_type", "disk_type"),
    [
        ("e2-small", "pd-balanced"),
        ("n2-standard-2", "pd-balanced"),
        ("c3-standard-4", "pd-balanced"),
        ("c4a-standard-1", "hyperdisk-balanced"),
        ("n4-standard-2", "hyperdisk-balanced"),
        ("g4-standard-48", "hyperdisk-balanced"),
    ],
)
def test_a_boot_disk_is_of_a_type_that_the_machine_takes(machine_type: str, disk_type: str) -> None:
    """The fourth generation of machines takes no persistent disk."""
    assert make().find_disk_type(machine_type) == disk_type
    assert make(disk_type="pd-ssd").find_disk_type(machine_type) == "pd-ssd"


def test_each_service_has_an_account() -> None:
    """Its own without roles, the same for all its generations, or the one of the settings."""
    web, old = Scope("shop", "dev", "web", "3f2a9c41"), Scope("shop", "dev", "web", "11111111")
    ours = make().find_account(web)
    assert ours == make().find_account(old)
    assert ours.startswith("web-")
    assert ours.endswith("@shop-123456.iam.gserviceaccount.com")
    of_domain = make(project="example.com:shop-123456").find_account(web)
    assert of_domain.endswith("@shop-123456.example.com.iam.gserviceaccount.com")
    own = make(service_accounts={"web": "a@b.iam.gserviceaccount.com"})
    assert own.find_account(web) == "a@b.iam.gserviceaccount.com"


def test_a_place_is_project_and_region() -> None:
    """Google's project is not the program's, which a location names, too."""
    here = GcpTarget(PLACE).find_location()
    assert here == Location("gcp", {"project_id": "shop-123456", "region": "europe-west3"})
    assert here.of_stack(Scope("shop", "dev")).words["project_id"] == "shop-123456"
