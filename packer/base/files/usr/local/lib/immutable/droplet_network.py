"""Gives a droplet its network: DigitalOcean has no DHCP, and says the addresses in its metadata.

Runs at each boot before systemd-networkd, whose files it writes. The metadata service is asked over
a link-local address of the first card, as cloud-init's `DataSourceDigitalOcean` does; the card
keeps that one, since the seal asks, too. https://docs.digitalocean.com/reference/api/metadata/
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from launch_data import ask_droplet

CARDS = Path("/sys/class/net")
NETWORKS = Path("/run/systemd/network")
RESOLV = Path("/run/immutable-network/resolv.conf")
"""What /etc/resolv.conf leads to."""
METADATA = "/metadata/v1.json"
TRIES = 10
"""Each takes half a minute."""
MOST = 168
"""The third number of our link-local address is less than that of the metadata service's."""

Card = Mapping[str, Any]


def main() -> int:
    """Bring up the first card, and write what the metadata says of all of them."""
    first, address = find_first_card(), draw_address()
    _call("ip", "link", "set", "dev", first, "up")
    _call("ip", "address", "replace", address, "scope", "link", "dev", first)
    said = find_metadata()
    own = (CARDS / first / "address").read_text(encoding="ascii").strip()
    for mac, text in render_networks(said, own, address):
        _write(NETWORKS / f"50-{mac.replace(':', '')}.network", text)
    _write(RESOLV, render_resolv(said))
    return 0


def find_metadata() -> Mapping[str, Any]:
    """Return what the metadata service says, asked for minutes: nothing works without a network.

    Raises:
        OSError: It was not there in time.
    """
    for _ in range(TRIES - 1):
        with suppress(OSError):
            return dict(json.loads(ask_droplet(METADATA)))
    return dict(json.loads(ask_droplet(METADATA)))


def find_first_card() -> str:
    """Return the name of the card with the lowest number: the public one, where there is one.

    Raises:
        OSError: There is none.
    """
    cards = [one for one in CARDS.iterdir() if (one / "device").exists()]
    if not cards:
        message = "this machine has no network card"
        raise OSError(message)
    return min(cards, key=lambda one: int((one / "ifindex").read_text(encoding="ascii"))).name


def draw_address() -> str:
    """Return a link-local address, with its prefix, that nobody else is likely to have."""
    high, low = os.urandom(2)
    return f"169.254.{1 + high % (MOST - 1)}.{low}/16"


def render_networks(said: Mapping[str, Any], own: str, address: str) -> Iterator[tuple[str, str]]:
    """Yield the address of each card, and systemd.network(5) of it.

    Args:
        said: The metadata.
        own: The hardware address of the card with the link-local address.
        address: That one.
    """
    interfaces: Mapping[str, list[Card]] = said["interfaces"]
    for kind, cards in interfaces.items():
        for card in cards:
            is_way_out = kind == "public" or not interfaces.get("public")
            mac = str(card["mac"]).lower()
            found = list(list_addresses(card))
            lines = ["[Match]", f"MACAddress={mac}", "", "[Network]", "DHCP=no"]
            lines += ["LinkLocalAddressing=no", "IPv6AcceptRA=no"]
            lines += [f"Address={one}" for one, _ in found]
            lines += [f"Gateway={one}" for _, one in found if one and is_way_out]
            if mac == own.lower():
                lines += ["", "[Address]", f"Address={address}", "Scope=link"]
                lines += ["DuplicateAddressDetection=none"]
            yield mac, "\n".join([*lines, ""])


def list_addresses(card: Card) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a card, with the gateway of each; a reserved one comes to its anchor.

    https://docs.digitalocean.com/products/networking/reserved-ips/how-to/find-anchor-ips/
    """
    four, anchor, six = (card.get(one) or {} for one in ("ipv4", "anchor_ipv4", "ipv6"))
    if four:
        yield _join(four["ip_address"], four["netmask"]), str(four.get("gateway") or "")
    if anchor:
        yield _join(anchor["ip_address"], anchor["netmask"]), ""
    if six:
        yield _join(six["ip_address"], six["cidr"]), str(six.get("gateway") or "")


def render_resolv(said: Mapping[str, Any]) -> str:
    """Return resolv.conf(5) with the first three name servers, more are not asked."""
    servers = (said.get("dns") or {}).get("nameservers") or []
    return "".join(f"nameserver {one}\n" for one in servers[:3])


def _join(address: str, mask: object) -> str:
    return str(ip_interface(f"{address}/{mask}"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(0o644)


def _call(*command: str) -> None:
    """Run a command; `subprocess` is left out for what its import costs on an emulated CPU."""
    pid = os.posix_spawnp(command[0], command, os.environ)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        message = f"{command[0]} ended with {status}"
        raise OSError(message)
