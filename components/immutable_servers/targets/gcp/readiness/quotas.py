"""Compares what the stack wants at a time with the project's quotas and what is used already."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from immutable_servers.contract.readiness import Finding
from immutable_servers.targets.cloud.readiness import judge_room
from immutable_servers.targets.gcp.groups import GROUPS
from immutable_servers.targets.gcp.names import last_part, make_labels
from immutable_servers.targets.gcp.readiness.asked import Asked

SHARED = ("e2", "f1", "g1", "n1")
"""Families whose processors count in one quota; each other one has its own.
https://docs.cloud.google.com/compute/resource-usage#cpu_quota"""
PARTS: Mapping[str, tuple[str, int]] = {
    "BACKEND_SERVICES": ("backendServices", 1),
    "FIREWALLS": ("firewalls", 3),
    "HEALTH_CHECKS": ("healthChecks", 1),
    "INSTANCE_TEMPLATES": ("instanceTemplates", 1),
    "REGIONAL_INSTANCE_GROUP_MANAGERS": (GROUPS, 1),
}
"""Quotas of what a generation consists of, and how many it has at most."""
WHERE = "under IAM & Admin, Quotas & System Limits"


def check_quotas(asked: Asked, what: str) -> Iterator[Finding]:
    """Yield one line on the quotas of project and region, with those alone that are too low."""
    ask = asked.api.call
    quotas = [*ask("projects", "get")["quotas"], *ask("regions", "get")["quotas"]]
    limits = {one["metric"]: one["limit"] for one in quotas}
    used = Counter({one["metric"]: one.get("usage", 0) for one in quotas})
    ours, first, most = _count(asked)
    others = used - ours  # a Counter's difference is never below zero
    known = [metric for metric in most if metric in limits]
    wants = {metric: others[metric] + most[metric] for metric in known}
    over = [metric for metric in known if wants[metric] > limits[metric]]
    said = ", ".join(f"{one} {wants[one]:g} of {limits[one]:g}" for one in over or known)
    said = f"wanted at most: {said}" if said else ""
    unlisted = [one for one in most if one.endswith("_CPUS") and one not in limits]
    if unlisted and not over:
        said = f"{said}; not listed by Google's API: {', '.join(unlisted)}"
        yield Finding(what, "note", said, f"Look {WHERE}.")
        return
    fits_first = all(others[metric] + first[metric] <= limits[metric] for metric in over)
    ways = f"ask for more {WHERE}."
    yield judge_room(what, said, ways, fits=not over, fits_first=fits_first)


def _count(asked: Asked) -> Sequence[Counter[str]]:
    """Return what the stack has of each quota, wants for a new generation, and wants at most."""
    labels = make_labels(asked.demand.scope).items()
    which = " AND ".join(f'(labels.{key} = "{value}")' for key, value in labels)
    there = asked.api.list("instances", "aggregatedList", filter=which)
    ours, first, most = Counter[str](), Counter[str](), Counter[str]()
    machines = [(ours, last_part(one["machineType"]), 1) for one in there]
    for _, kind, some, all_ in asked.list_wanted():
        machines += [(first, kind, some), (most, kind, all_)]
    for counter, kind, number in machines:
        processors = int(asked.machines.get(kind, [{}])[0].get("guestCpus", 0))
        family = kind.partition("-")[0]
        counter["CPUS" if family in SHARED else f"{family.upper()}_CPUS"] += number * processors
        counter["CPUS_ALL_REGIONS"] += number * processors
        counter["INSTANCES"] += number
        counter["IN_USE_ADDRESSES"] += number * asked.settings.public_addresses
    keeps = [one.keep for one in asked.demand.services.values()]
    for metric, (collection, each) in PARTS.items():
        ours[metric] = len(asked.find_ours(collection))
        first[metric] = 2 * each * len(keeps)
        most[metric] = each * sum(2 + keep for keep in keeps)
    return ours, first, most
