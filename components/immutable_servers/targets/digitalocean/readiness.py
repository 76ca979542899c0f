"""Asks a DigitalOcean account whether a stack can be, by reading alone: what `doctor` shows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import yaml

from immutable_servers.contract.readiness import Finding, Status
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.cloud.readiness import (
    CloudAsked,
    CloudReadiness,
    check_starts,
    judge,
    judge_room,
    name_missing,
    note_plain,
)
from immutable_servers.targets.cloud.verifier import describe_way
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.faults import GUIDE
from immutable_servers.targets.digitalocean.launches import find_size_faults
from immutable_servers.targets.digitalocean.names import read_scope
from immutable_servers.targets.digitalocean.settings import DoSettings
from immutable_servers.targets.digitalocean.upstream import AVAILABLE
from immutable_servers.targets.digitalocean.verifier import check_route, find_verifier, find_vpc

ROLES = ("preview", "bake", "deploy")
READS = (
    "certificates",
    "droplets",
    "firewalls",
    "images",
    "load_balancers",
    "reserved_ips",
    "sizes",
    "tags",
    "vpcs",
)
"""What a preview lists, as pydo's collections. Nothing tells a token's scopes."""
WHERE = "under immutable-servers:digitalocean"
VERIFIED = "verified"
"""The state of a certificate that can be used."""

Asked = CloudAsked[Api, DoSettings]


def read_scopes(role: str) -> Sequence[str]:
    """Return the scopes of a role; a bake and a deployment need those of a preview, too."""
    found = yaml.safe_load(Path(__file__).with_name("scopes.yaml").read_text(encoding="utf-8"))
    return [str(scope) for scope in found[role]]


def check_scopes(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield which scopes to read the token lacks; one to change things is seen when it is used."""
    missing = []
    for collection in READS:
        try:
            asked.api.list(collection)
        except ImmutableError as error:
            if not (scope := find_denied(error)):
                raise
            missing.append(scope)
    todo = f"Make a token with the scopes of {GUIDE}: nobody can add one to a token."
    right = "all to read; what the token may change is told by no call"
    yield judge(what, name_missing(missing), todo, right)


def check_limit(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the droplets that the stack wants fit into the account's limit."""
    limit = int((asked.api.find("account") or {})["droplet_limit"])
    scopes = [read_scope(one["tags"]) for one in asked.api.list("droplets")]
    others = sum(scope is None or scope.of_stack != asked.demand.scope for scope in scopes)
    wanted = asked.list_wanted()
    first = others + sum(some for _, _, some, _ in wanted)
    most = others + sum(all_ for _, _, _, all_ in wanted)
    said = f"{most} of {limit} droplets at most: {others} of others, and "
    said += ", ".join(name for name, *_ in wanted)
    ways = "ask DigitalOcean for a higher droplet limit."
    yield judge_room(what, said, ways, fits=most <= limit, fits_first=first <= limit)


def check_sizes(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the region has each size, with a disk that takes images."""
    launches = [one.launch for one in asked.demand.services.values()]
    wrong = [fault for launch in launches for fault in find_size_faults(asked.api, launch)]
    sizes = {one["slug"]: one for one in asked.api.list("sizes")}
    bake, region = asked.settings.bake_type, asked.settings.region
    if bake not in sizes or region not in sizes[bake]["regions"]:
        wrong.append(f"size {bake}: {region} does not have it, and bakes need it")
    known = [f"{one} ({sizes[one]['disk']} GB)" for one in asked.wanted_types if one in sizes]
    here = ", ".join(slug for slug, one in sizes.items() if region in one["regions"])
    todo = f"Choose others {WHERE}; {region} has {here}."
    yield judge(what, "; ".join(dict.fromkeys(wrong)), todo, f"{', '.join(known)} in {region}")


def check_network(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the VPC is there, or the region's default one."""
    found, settings = find_vpc(asked.api), asked.settings
    wrong = "" if found else f"there is no VPC {settings.vpc or 'by default'} in {settings.region}"
    right = f"VPC {found['name']} {found['ip_range']}" if found else ""
    yield judge(what, wrong, f"Correct vpc {WHERE}, or make it.", right)


def check_way(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether this machine has what the way to servers needs."""
    check_route(asked.settings)
    yield describe_way(what, asked.settings.reach, asked.settings.verify_from, find_verifier)


def check_certificate(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the certificate is there, can be used, and is for all hosts."""
    wanted = asked.settings.certificate
    if not wanted:
        yield note_plain(what)
        return
    found = next((one for one in asked.api.list("certificates", name=wanted)), None)
    names = (found or {}).get("dns_names") or ()
    hosts = {route.host for route in asked.demand.routes if route.host}
    wrong = "" if found else f"the account has none with the name {wanted}"
    if found and found["state"] != VERIFIED:
        wrong = f"{wanted} is {found['state']}"
    elif names and (uncovered := sorted(host for host in hosts if not _is_for(host, names))):
        wrong = f"{wanted} is not for {', '.join(uncovered)}"
    ends = f"{wanted}, until {found['not_after']}" if found else ""
    yield judge(what, wrong, f"Correct certificate {WHERE}, or make it.", ends)


def _is_for(host: str, names: Sequence[str]) -> bool:
    return not {host, f"*.{host.partition('.')[2]}"}.isdisjoint(names)


def look(api: Api, entry: Mapping[str, Any]) -> tuple[Status, str]:
    """Judge the image that an entry of the lock names."""
    found = api.find("images", image_id=entry["image"])
    state = found.get("status", AVAILABLE) if found else "gone"
    status: Status = "ok" if state == AVAILABLE else "not ok"
    return status, f"{entry['slug']} ({entry['image']}) is {state}"


class DoReadiness(CloudReadiness[Api]):
    """Reads token, droplet limit, sizes, network, way in, certificate, and the lock."""

    checks: ClassVar[Mapping[str, Callable[[Asked, str], Iterable[Finding]]]] = {
        "scopes": check_scopes,
        "droplet limit": check_limit,
        "sizes": check_sizes,
        "network": check_network,
        "way to servers": check_way,
        "certificate": check_certificate,
        "lock": partial(check_starts, look=look),
    }

    def find_access(self) -> Iterator[Finding]:
        """Ask whose the token is, and whether the region is there."""
        self.api.asked.begin()
        account, region = self.api.find("account") or {}, self.api.settings.region
        here = {one["slug"]: one["available"] for one in self.api.list("regions")}
        if not here.get(region):
            todo = f"Correct it {WHERE}; there are {', '.join(one for one in here if here[one])}."
            yield Finding("region", "not ok", f"DigitalOcean has no region {region}", todo)
        said = f"{account['email']}, region {region}"
        if account["status"] == "active":
            yield Finding("credentials", "ok", said)
        else:
            status: Status = "not ok" if account["status"] == "locked" else "note"
            said = f"{said}: the account is {account['status']}. {account['status_message']}"
            yield Finding("credentials", status, said, "See what DigitalOcean asks of the account.")
