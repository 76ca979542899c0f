"""The base image's network on machines without DHCP: files for systemd-networkd from metadata."""

import importlib.util
import ipaddress
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.checkout import ROOT

FOLDER = ROOT / "packer/base/files/usr/local/lib/immutable"
PUBLIC, PRIVATE = "04:01:2a:0f:2a:01", "04:01:2a:0f:2a:02"
SAID: dict[str, Any] = {
    "interfaces": {
        "public": [
            {
                "mac": PUBLIC,
                "ipv4": {
                    "ip_address": "104.131.20.105",
                    "netmask": "255.255.192.0",
                    "gateway": "104.131.0.1",
                },
                "anchor_ipv4": {
                    "ip_address": "10.17.0.9",
                    "netmask": "255.255.0.0",
                    "gateway": "10.17.0.1",
                },
            }
        ],
        "private": [
            {
                "mac": PRIVATE,
                "ipv4": {
                    "ip_address": "10.132.255.113",
                    "netmask": "255.255.0.0",
                    "gateway": "10.132.0.1",
                },
            }
        ],
    },
    "dns": {"nameservers": ["67.207.67.2", "67.207.67.3"]},
}
"""As https://docs.digitalocean.com/reference/api/metadata/ shows it."""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module on a machine whose cards and files are in a folder of the test."""
    for name in ("launch_data", "droplet_network"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    for index, (name, mac) in enumerate((("eth1", PRIVATE), ("eth0", PUBLIC))):
        card = tmp_path / "cards" / name
        (card / "device").mkdir(parents=True)
        (card / "ifindex").write_text(f"{10 - index}\n")
        (card / "address").write_text(f"{mac}\n")
    (tmp_path / "cards" / "lo").mkdir()
    monkeypatch.setattr(module, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(module, "NETWORKS", tmp_path / "networks")
    monkeypatch.setattr(module, "RESOLV", tmp_path / "own" / "resolv.conf")
    return module


def test_each_card_gets_the_addresses_that_the_metadata_say(
    network: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first card asks over a link-local address, and keeps it; the public one leads out."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(network, "_call", lambda *words: ran.append(words))
    monkeypatch.setattr(network, "draw_address", lambda: "169.254.7.8/16")
    monkeypatch.setattr(network, "ask_droplet", {"/metadata/v1.json": json.dumps(SAID)}.get)
    assert network.main() == 0
    assert [words[-1] for words in ran] == ["up", "eth0"]
    assert ran[1][:4] == ("ip", "address", "replace", "169.254.7.8/16")
    files = {one.name: one.read_text().splitlines() for one in (tmp_path / "networks").iterdir()}
    public, private = (files[f"50-{one.replace(':', '')}.network"] for one in (PUBLIC, PRIVATE))
    assert public[:2] == ["[Match]", f"MACAddress={PUBLIC}"]
    assert {"DHCP=no", "Gateway=104.131.0.1", "Address=104.131.20.105/18"} < {*public}
    assert {"Address=10.17.0.9/16", "Address=169.254.7.8/16"} < {*public}
    assert "Address=10.132.255.113/16" in private
    assert not [one for one in private if one.startswith(("Gateway", "Address=169"))]
    resolv = (tmp_path / "own" / "resolv.conf").read_text()
    assert resolv == "nameserver 67.207.67.2\nnameserver 67.207.67.3\n"


def test_a_droplet_without_a_public_card_leads_out_by_its_private_one(network: ModuleType) -> None:
    """Its gateway is that of the VPC."""
    said = {"interfaces": {"private": SAID["interfaces"]["private"]}}
    ((mac, text),) = network.render_networks(said, PRIVATE, "169.254.7.8/16")
    assert mac == PRIVATE
    assert {"Gateway=10.132.0.1", "Address=169.254.7.8/16"} < {*text.splitlines()}


def test_an_address_of_ours_is_never_that_of_the_metadata_service(network: ModuleType) -> None:
    """It is link-local, and below the service's."""
    low, high = (ipaddress.IPv4Address(f"169.254.{one}.0") for one in (1, 169))
    for _ in range(500):
        address, _, prefix = network.draw_address().partition("/")
        assert prefix == "16"
        assert low <= ipaddress.IPv4Address(address) < high


def test_a_machine_without_a_card_says_so(
    network: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of an error about an empty list."""
    monkeypatch.setattr(network, "CARDS", tmp_path)
    with pytest.raises(OSError, match="no network card"):
        network.main()
