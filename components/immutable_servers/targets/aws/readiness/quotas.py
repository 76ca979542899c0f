"""Compares what the stack wants at a time with the account's quotas and what is used already."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immutable_servers.contract.readiness import Finding
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.cloud.faults import find_denied
from immutable_servers.targets.cloud.readiness import judge_room

VCPU_CODES: Mapping[str, str] = {
    "standard": "L-1216C47A",
    "f": "L-74FC7D96",
    "g": "L-DB2E81BA",
    "p": "L-417A185B",
    "x": "L-7295265B",
    "inf": "L-1945791B",
    "trn": "L-2C3B7624",
    "dl": "L-6E869C2A",
    "hpc": "L-F7808C92",
    "u": "L-43DA4232",
}
"""Quota codes of vCPUs of running on-demand instances, by class.
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html"""
STANDARD = "acdhimrtz"
"""First letters of the families of the standard class (the same page)."""
RULES_CODE = "L-0EA8095F"
"""Inbound rules of a security group.
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups"""
NEW_ACCOUNT = 5
"""vCPUs that AWS gives many a new account."""
GLOBAL = "us-east-1"
"""Where the API of plans is: https://docs.aws.amazon.com/general/latest/gr/billing.html"""
NO_QUOTA = ("NoSuchResourceException",)


@dataclass(frozen=True)
class Need:
    """Numbers of one quota.

    Attributes:
        others: What others of the account use.
        first: What the stack uses while a generation is verified.
        most: The same with its standbys.
        parts: What `most` is made of, in words.
    """

    others: int
    first: int
    most: int
    parts: str


def find_class(instance_type: str) -> str:
    """Return the class of quotas that an instance type counts in."""
    family = re.match(r"[a-z]+", instance_type)
    word = family[0] if family else ""
    for special in ("inf", "trn", "dl", "hpc"):
        if word.startswith(special):
            return special
    if word.startswith(("vt", "g")):
        return "g"
    return "standard" if word[:1] in STANDARD else word[:1]


def judge(what: str, code: str, region: str, quota: float, need: Need) -> Finding:
    """Return the line of one quota of vCPUs."""
    said = f"{quota:g} allowed, {need.others} used by others, {need.most} wanted: {need.parts}"
    small = " A new account often has no more." if quota <= NEW_ACCOUNT else ""
    ask = need.others + need.most
    ways = (
        f"ask for {ask}: aws service-quotas request-service-quota-increase --service-code ec2"
        f" --quota-code {code} --desired-value {ask} --region {region}.{small}"
    )
    fits_first = need.others + need.first <= quota
    return judge_room(what, said, ways, fits=ask <= quota, fits_first=fits_first)


def check_vcpus(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield a line for each class of instances that the stack launches."""
    first: Counter[str] = Counter()
    most: Counter[str] = Counter()
    parts: dict[str, list[str]] = {}
    for words, kind, some, all_ in asked.list_wanted():
        cpus, group = _count(asked, kind), find_class(kind)
        first[group] += some * cpus
        most[group] += all_ * cpus
        parts.setdefault(group, []).append(f"{words} = {all_ * cpus}")
    others = Counter[str]()
    for one in asked.instances:
        if not asked.is_ours(one) and one.get("InstanceLifecycle") != "spot":
            others[find_class(one["InstanceType"])] += _count(asked, one["InstanceType"])
    for group, named in parts.items():
        title = what if group == "standard" else f"{what} ({group})"
        need = Need(others[group], first[group], most[group], ", ".join(named))
        yield _judge_class(asked, title, VCPU_CODES.get(group, ""), need)


def _judge_class(asked: Asked, what: str, code: str, need: Need) -> Finding:
    """Return the line of a class; the numbers are worth reading without the quota, too."""
    said, todo = f"{need.most} wanted: {need.parts}", "Look under Service Quotas, Amazon EC2"
    try:
        quota = _find_quota(asked, "ec2", code) if code else None
    except ImmutableError as error:
        refused = find_denied(error)
        if not refused:
            raise
        quota, todo = None, f"needs {refused}"
    if quota is None:
        new = f"a new account may have {NEW_ACCOUNT} or less"
        return Finding(what, "not known", f"{said}; the quota cannot be asked", f"{todo}; {new}.")
    return judge(what, code, asked.api.region, quota, need)


def check_plan(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield whether the account is on the free plan, and which types that refuses."""
    api = asked.api.elsewhere(GLOBAL)
    missing = ("ResourceNotFoundException",)  # an account from before there were plans
    answer = api.call("freetier", "get_account_plan_state", missing=missing)
    if answer.get("accountPlanType") != "FREE":
        yield Finding(what, "ok", "paid")
        return
    types = asked.types
    refused = [
        one for one in asked.wanted_types if not types.get(one, {}).get("FreeTierEligible", False)
    ]
    end = answer.get("accountPlanExpirationDate")
    said = f"free{f', until {end:%Y-%m-%d}' if end else ''}"
    if not refused:
        yield Finding(
            what, "note", said, "AWS closes the account at its end unless it is upgraded."
        )
        return
    todo = (
        "Upgrade to the paid plan (Billing, Account plan), or choose types that it launches:"
        " aws ec2 describe-instance-types --filters Name=free-tier-eligible,Values=true."
    )
    yield Finding(what, "not ok", f"{said}: it does not launch {', '.join(refused)}", todo)


def check_balancers(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield one line on load balancers, target groups, listeners and rules."""
    said = asked.api.list("elbv2", "describe_account_limits", key="Limits")
    limits = {one["Name"]: int(one["Max"]) for one in said}
    balancers = asked.api.list("elbv2", "describe_load_balancers")
    groups = asked.api.list("elbv2", "describe_target_groups")
    services = asked.demand.services.values()
    generations = sum(2 + one.keep for one in services)
    ours = sum(_is_of_balancer(one, asked) for one in groups)
    applications = sum(one.get("Type") == "application" for one in balancers)
    hosts = sum(bool(route.host) for route in asked.demand.routes)
    sums = {
        "application-load-balancers": applications + (0 if asked.existing else 1),
        "target-groups": len(groups) - ours + generations,
        "target-groups-per-application-load-balancer": generations,
        "listeners-per-application-load-balancer": len(asked.ports),
        "rules-per-application-load-balancer": generations + hosts,
    }
    over = {name: need for name, need in sums.items() if need > limits.get(name, need)}
    words = ", ".join(
        f"{name}: {need} of {limits[name]}"
        for name, need in (over or sums).items()
        if name in limits  # AWS does not tell each of them to everybody
    )
    if over:
        todo = "Ask for more under Service Quotas, Elastic Load Balancing, or take others away."
        yield Finding(what, "not ok", words, todo)
    else:
        yield Finding(what, "ok", words)


def check_groups(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield the line on Auto Scaling groups."""
    said = asked.api.call("autoscaling", "describe_account_limits")
    used, most = said["NumberOfAutoScalingGroups"], said["MaxNumberOfAutoScalingGroups"]
    scope = asked.demand.scope
    whose = [(one.project, one.stack) for one in asked.balancer.groups.find_scopes()]
    others = used - whose.count((scope.project, scope.stack))
    want = sum(2 + one.keep for one in asked.demand.services.values())
    words = f"{most} Auto Scaling groups allowed, {others} of others, {want} wanted at most"
    if others + want <= most:
        yield Finding(what, "ok", words)
    else:
        todo = "Ask for more under Service Quotas, Amazon EC2 Auto Scaling."
        yield Finding(what, "not ok", words, todo)


def check_rules(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield the line on the rules of the balancer's security group: IPv4 and IPv6 count apart."""
    settings = asked.settings
    ranges = Counter(":" in one for one in settings.allow_from)
    need = max(ranges.values(), default=0) * len(asked.ports)
    quota = _find_quota(asked, "vpc", RULES_CODE)
    said = f"{need} rules of the balancer's security group, {quota or 0:g} allowed"
    if quota is None or need <= quota:
        yield Finding(what, "ok", said)
    else:
        todo = f"Name fewer ranges as allow_from, or ask for quota {RULES_CODE} of Amazon VPC."
        yield Finding(what, "not ok", said, todo)


def _is_of_balancer(group: Mapping[str, object], asked: Asked) -> bool:
    existing = asked.existing
    arns = group.get("LoadBalancerArns")
    return existing is not None and isinstance(arns, list) and existing["LoadBalancerArn"] in arns


def _count(asked: Asked, instance_type: str) -> int:
    """Return the vCPUs of a type; of one that the region lacks none, which is another line."""
    found = asked.types.get(instance_type, {})
    return int(found.get("VCpuInfo", {}).get("DefaultVCpus", 0))


def _find_quota(asked: Asked, service: str, code: str) -> float | None:
    """Return the account's quota, or AWS's default; None where there is no such quota."""
    which = {"ServiceCode": service, "QuotaCode": code}
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        answer = asked.api.call("service-quotas", operation, missing=NO_QUOTA, **which)
        if answer:
            return float(answer["Quota"]["Value"])
    return None
