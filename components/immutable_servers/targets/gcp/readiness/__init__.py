"""Asks a Google Cloud project whether a stack can be, by reading alone: what `doctor` shows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from immutable_servers.contract.readiness import Demand, Finding
from immutable_servers.targets.cloud.readiness import CloudReadiness, check_starts
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.readiness import account, places, quotas
from immutable_servers.targets.gcp.readiness.asked import Asked

ROLES = ("preview", "bake", "deploy")
CHECKS: Mapping[str, Callable[[Asked, str], Iterable[Finding]]] = {
    "APIs": account.check_apis,
    **{f"permissions: {role}": partial(account.check_role, role=role) for role in ROLES},
    "quotas": quotas.check_quotas,
    "machine types": places.check_types,
    "network": places.check_network,
    "way to servers": places.check_way,
    "certificate": places.check_certificate,
    "lock": partial(check_starts, look=places.look),
}
"""What is asked, by the line's name, in the order of the table."""


class GcpReadiness(CloudReadiness[Api]):
    """Reads credentials, APIs, rights, quotas, places, ways in, the certificate, and the lock."""

    checks = CHECKS

    def find_access(self) -> Iterable[Finding]:
        """Ask who we are, and whether project and region are there."""
        return account.check_access(self.api)

    def start(self, demand: Demand) -> Asked:
        """Return what the checks of one `doctor` share; under load there are the most servers."""
        limits = self.api.settings.scaling
        largest = {
            name: replace(one, servers=limits[name].max) if name in limits else one
            for name, one in demand.services.items()
        }
        return Asked(self.api, replace(demand, services=largest))
