"""Looks at machine types, network, ways in, the certificate, and what bakes start from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from immutable_servers.contract.readiness import Finding, Status
from immutable_servers.targets.cloud.readiness import judge, note_plain
from immutable_servers.targets.cloud.verifier import describe_way
from immutable_servers.targets.gcp.api import MISSING, Api
from immutable_servers.targets.gcp.names import last_part, make_name
from immutable_servers.targets.gcp.network import find_subnetwork, refuse_cut_off
from immutable_servers.targets.gcp.readiness.asked import Asked
from immutable_servers.targets.gcp.verifier import check_login, check_route, find_verifier

STATES: Mapping[str, Status] = {"ACTIVE": "ok", "DEPRECATED": "note"}
"""Google's words for an image that can still be used.
https://docs.cloud.google.com/compute/docs/images/image-management-best-practices"""
ACTIVE, GIVEN_UP = "ACTIVE", ("PROVISIONING_FAILED_PERMANENTLY", "RENEWAL_FAILED")
"""Google's words for a certificate that holds, and for one that it makes no more attempt at."""


def check_types(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether each machine type is in a zone of the servers, and of the architecture."""
    wanted, right, others = asked.settings.architecture.upper(), [], []
    for kind, found in asked.machines.items():
        right.append(f"{kind} in {', '.join(last_part(one['zone']) for one in found)}")
        words = {one["architecture"] for one in found} - {wanted}
        others += [f"{kind} is {word}" for word in words]
    todo = f"Choose sizes of {wanted}, or correct architecture under immutable-servers:gcp."
    yield judge(what, ", ".join(others), todo, "; ".join(right))


def check_network(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether there is a subnet, and a way out of it for machines without addresses."""
    subnetwork = find_subnetwork(asked.api)
    refuse_cut_off(asked.api, bakes=True)
    way = "external addresses" if asked.settings.public_addresses else "a NAT or a way of yours"
    said = f"{asked.settings.network}, {subnetwork['name']} {subnetwork['ipCidrRange']}, {way}"
    yield Finding(what, "ok", said)


def check_way(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether this machine has what the way to servers and bakes needs."""
    settings = asked.settings
    check_route(settings)
    check_login(settings.build_reach)
    yield describe_way(what, settings.reach, settings.verify_from, find_verifier)


def look(api: Api, entry: Mapping[str, Any]) -> tuple[Status, str]:
    """Judge the image that an entry of the lock names."""
    _, project, _, _, name = entry["image"].split("/")
    found = api.call("images", "get", missing=MISSING, project=project, image=name)
    state = found.get("deprecated", {}).get("state", "ACTIVE") if found else "gone"
    return STATES.get(state, "not ok"), f"{name} is {state}"


def check_certificate(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether certificates hold, and what the domains' DNS has to say until it does."""
    domains = asked.settings.certificate
    hosts = {route.host for route in asked.demand.routes if route.host}
    if not domains:
        yield note_plain(what)
    elif uncovered := sorted(hosts - {*domains}):
        todo = "Add them to certificate under immutable-servers:gcp, or correct the routes."
        yield Finding(what, "not ok", f"not for {', '.join(uncovered)}", todo)
    else:
        address = asked.api.find("globalAddresses", address=make_name(asked.demand.scope)) or {}
        made = [one["managed"] for one in asked.find_ours("sslCertificates")]
        yield judge_certificates(what, domains, made, address.get("address", "(an update's)"))


def judge_certificates(
    what: str, domains: Sequence[str], made: Sequence[Mapping[str, Any]], address: str
) -> Finding:
    """Return the line of the domains' certificates, each of its own, as Google describes them.

    https://docs.cloud.google.com/load-balancing/docs/ssl-certificates/troubleshooting
    """
    found = {domain: one for one in made for domain in one["domains"]}
    states = {one: found.get(one, {}).get("status", "NOT MADE YET") for one in domains}
    waiting = [one for one in domains if states[one] != ACTIVE]
    if not waiting:
        return Finding(what, "ok", f"{', '.join(domains)}: active")
    about = {one: found.get(one, {}).get("domainStatus", {}).get(one, "") for one in waiting}
    said = "; ".join(f"{one}: {states[one]} {about[one]}".rstrip() for one in waiting)
    todo = (
        f"The DNS of {', '.join(waiting)} has to say A {address}, and no other A or AAAA; Google"
        " looks again by itself, for some hours."
    )
    if given_up := ", ".join(one for one in waiting if states[one] in GIVEN_UP):
        todo += f" It has given up {given_up}: leave that out of certificate in one update."
    failed = any("FAILED" in states[one] for one in waiting)
    return Finding(what, "not ok" if failed else "note", said, todo)
