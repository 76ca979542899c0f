"""Looks at the balancer's name, the ports of its listeners, and the certificate."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.aws.names import TAGS, read_tags
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.cloud.readiness import note_plain

EXPIRES = dt.timedelta(days=30)
"""ACM renews its own 60 days before the end; what is older than that needs a look.
https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html"""
NO_CERTIFICATE = ("ResourceNotFoundException",)


def check_name(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the balancer's name is free, ours, or a stranger's."""
    found = asked.existing
    if found is None:
        yield Finding(what, "ok", f"{asked.name} is free")
        return
    arn = found["LoadBalancerArn"]
    answer = asked.api.call("elbv2", "describe_tags", ResourceArns=[arn])
    tags = read_tags(answer["TagDescriptions"][0]["Tags"])
    if TAGS.write_scope(asked.demand.scope).items() <= tags.items():
        yield Finding(what, "ok", f"{asked.name} is this stack's")
    else:
        todo = "Delete or rename that load balancer, or rename project or stack."
        yield Finding(what, "not ok", f"{asked.name} exists without this stack's tags", todo)


def check_listeners(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the ports are free on the balancer, or ours, and speak what they should."""
    settings = asked.settings
    wanted = dict.fromkeys(asked.ports, settings.protocol)
    if settings.redirect:
        wanted[settings.redirect] = "HTTP"
    words = ", ".join(f"{port} {protocol}" for port, protocol in wanted.items())
    clash = [
        f"{settings.redirect} is both redirect and a service's port"
        for route in asked.demand.routes
        if settings.redirect and (route.port or settings.host_port) == settings.redirect
    ]
    foreign = _find_foreign(asked, asked.balancer.standing.find_listeners(asked.demand.scope))
    if clash or foreign:
        todo = "Set another route port, shared_port or redirect; or delete what is not ours."
        yield Finding(what, "not ok", "; ".join([*clash, *foreign]), todo)
    else:
        yield Finding(what, "ok", words)


def check_certificate(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the certificate can be used: place, state, names and end."""
    arn = asked.settings.certificate
    if not arn:
        yield note_plain(what)
        return
    _, _, service, region, *_ = [*arn.split(":"), "", "", "", ""]
    if service == "iam":
        yield Finding(what, "note", "a server certificate of IAM", "Look at its names and its end.")
    elif service != "acm" or region != asked.api.region:
        said = f"it is in {region or 'no region'}, the balancer in {asked.api.region}: {arn}"
        todo = f"Request or import it in ACM in {asked.api.region}, and name that ARN."
        yield Finding(what, "not ok", said, todo)
    else:
        answer = asked.api.call(
            "acm", "describe_certificate", missing=NO_CERTIFICATE, CertificateArn=arn
        )
        hosts = [route.host for route in asked.demand.routes if route.host]
        yield judge_certificate(answer.get("Certificate"), hosts, dt.datetime.now(dt.UTC))


def judge_certificate(
    certificate: Mapping[str, Any] | None, hosts: Sequence[str], now: dt.datetime
) -> Finding:
    """Return the line of a certificate as ACM describes it; None when there is none."""
    what = "certificate"
    if certificate is None:
        todo = "Correct immutable-servers:aws certificate."
        return Finding(what, "not ok", "ACM has no such certificate", todo)
    state = certificate.get("Status", "")
    names = [certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])]
    said = ", ".join(dict.fromkeys(names))
    if state != "ISSUED":
        why = certificate.get("FailureReason", "")
        todo = "Finish its validation in ACM (a DNS record), or name another one."
        return Finding(what, "not ok", f"{said}: {state} {why}".rstrip(), todo)
    uncovered = [host for host in hosts if not any(covers(name, host) for name in names)]
    if uncovered:
        todo = "Request one with these names, or correct the routes."
        return Finding(what, "not ok", f"{said}: not for {', '.join(uncovered)}", todo)
    return _judge_end(said, certificate["NotAfter"], now)


def _judge_end(names: str, end: dt.datetime, now: dt.datetime) -> Finding:
    what, said = "certificate", f"{names}, until {end:%Y-%m-%d}"
    if end <= now:
        return Finding(what, "not ok", said, "Name one that has not expired.")
    if end - now < EXPIRES:
        todo = "See in ACM why it is not renewed; an imported one is imported again."
        return Finding(what, "note", said, todo)
    return Finding(what, "ok", said)


def covers(name: str, host: str) -> bool:
    """Return whether a certificate's name is for a host; `*` stands for its first label alone."""
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:].lower()
    return host == name.lower()


def _find_foreign(asked: Asked, listeners: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return listeners on our ports that carry no tags of this stack."""
    there = {one["ListenerArn"]: one for one in listeners if one["Port"] in asked.ports}
    if not there:
        return ()
    answer = asked.api.call("elbv2", "describe_tags", ResourceArns=[*there])
    scope = asked.demand.scope
    return [
        f"{there[one['ResourceArn']]['Port']} has a listener that is not this stack's"
        for one in answer["TagDescriptions"]
        for whose in [TAGS.read_scope(read_tags(one["Tags"]))]
        if (whose.project, whose.stack) != (scope.project, scope.stack)
    ]
