"""Settings of the digitalocean target, and what they mean."""

from typing import Any

import pytest

from immutable_servers.errors import SettingsError
from immutable_servers.settings.rules import check_abilities
from immutable_servers.targets.digitalocean import DoSettings, DoTarget


def make(**settings: Any) -> DoSettings:  # noqa: ANN401 - settings of any kind
    """Return settings of a region."""
    return DoSettings.model_validate({"region": "fra1", **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"region": "eu-central-1"}, "region"),
        ({"vpc": "default"}, "vpc"),
        ({"certificate": "a/b"}, "certificate"),
        ({"architecture": "arm64"}, "architecture"),
        ({"verify_through": "ssh_config"}, "needs the file's name as ssh_config"),
        ({"verify_through": "iap"}, "verify_through"),
        ({"verify_through": "public", "public_addresses": False}, "needs public_addresses"),
        ({"redirect": 80}, "redirect needs a certificate"),
        ({"redirect": 443, "certificate": "www"}, "redirect is another port than 443"),
        ({"timeout": 20}, "timeout"),
        ({"nodes": 101}, "nodes"),
        ({"copies": ["fra1"]}, "copies are regions beside fra1, each once"),
        ({"copies": ["ams3", "ams3"]}, "each once"),
        ({"droplets": 1}, "droplets"),
    ],
)
def test_mistakes_are_refused(settings: dict[str, Any], said: str) -> None:
    """Before DigitalOcean is asked, by the name of the setting."""
    with pytest.raises(ValueError, match=said):
        make(**settings)


def test_servers_are_reached_by_what_they_have() -> None:
    """Over the internet where they have addresses, else from inside the VPC."""
    assert make().reach == "public"
    assert make(public_addresses=False).reach == "private"
    assert make(verify_through="private").reach == "private"


def test_a_certificate_makes_it_https() -> None:
    """Port and protocol follow."""
    assert (make().protocol, make().host_port) == ("HTTP", 80)
    secure = make(certificate="www-2026", redirect=80)
    assert (secure.protocol, secure.host_port) == ("HTTPS", 443)


@pytest.mark.parametrize(
    ("word", "size"),
    [
        ("small", "s-1vcpu-2gb"),
        ("medium", "s-2vcpu-4gb"),
        ("large", "s-4vcpu-8gb"),
        ("tiny", "s-1vcpu-512mb-10gb"),
        ("c-2", "c-2"),
        ("so1_5-2vcpu-16gb", "so1_5-2vcpu-16gb"),
    ],
)
def test_sizes(word: str, size: str) -> None:
    """Small, medium and large are there, words of the user's own, and DigitalOcean's slugs."""
    assert make(sizes={"tiny": "s-1vcpu-512mb-10gb"}).find_size(word) == size


def test_a_size_that_is_none_is_refused() -> None:
    """With the words that there are."""
    with pytest.raises(SettingsError, match="no size 'Large' on digitalocean"):
        make().find_size("Large")


def test_a_bake_has_the_smallest_disk() -> None:
    """A snapshot of a larger one could not be launched on a small droplet."""
    assert make().bake_type == "s-1vcpu-1gb"
    assert make(build_size="small").bake_type == "s-1vcpu-2gb"


def test_services_are_held_against_what_the_balancers_can() -> None:
    """A canary needs weights, which the preview says; a reserved IP leads to one server alone."""
    canary = {"canary": {"weight": 10}}
    (problem,) = check_abilities({"web": canary}, DoTarget)
    assert problem.path == "services.web.canary"
    assert "needs a balancer that splits traffic, and target digitalocean's cannot" in problem.rule
    reserved = {"route": {"reserved_ip": True}}
    assert [*check_abilities({"web": {**reserved, "servers": 1}}, DoTarget)] == []
    (problem,) = check_abilities({"web": {**reserved, "servers": 2}}, DoTarget)
    assert (problem.path, problem.rule[:19]) == (
        "services.web.route.reserved_ip",
        "leads to one server",
    )
