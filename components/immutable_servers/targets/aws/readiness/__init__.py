"""Asks an AWS account whether a stack can be, by reading alone: what `doctor` shows."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from immutable_servers.contract.readiness import Demand, Finding
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.readiness import (
    balancing,
    credentials,
    keys,
    permissions,
    quotas,
    starts,
    subnets,
    ways,
)
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.cloud.readiness import CloudReadiness, check_starts

CHECKS: Mapping[str, Callable[[Asked, str], Iterable[Finding]]] = {
    "permissions: preview": partial(permissions.check_role, role="preview"),
    "permissions: bake": partial(permissions.check_role, role="bake"),
    "permissions: deploy": partial(permissions.check_role, role="deploy"),
    "account's plan": quotas.check_plan,
    "quota of vCPUs": quotas.check_vcpus,
    "quotas of balancers": quotas.check_balancers,
    "quota of groups": quotas.check_groups,
    "quota of rules": quotas.check_rules,
    "network": subnets.check_network,
    "instance types": subnets.check_types,
    "addresses": subnets.check_addresses,
    "balancer's way in": subnets.check_way_in,
    "servers' way out": subnets.check_way_out,
    "bakes' way out": subnets.check_bakes_way_out,
    "balancer's name": balancing.check_name,
    "listeners": balancing.check_listeners,
    "certificate": balancing.check_certificate,
    "key": keys.check_key,
    "key's policy": keys.check_key_policy,
    "service-linked roles": keys.check_linked_roles,
    "way to servers": ways.check_way,
    "servers' profile": ways.check_servers_profile,
    "bakes' profile": ways.check_bakes_profile,
    "log group": ways.check_log_group,
    "lock": partial(check_starts, look=starts.look),
}
"""What is asked, by the line's name, in the order of the table."""


class AwsReadiness(CloudReadiness[Api]):
    """Reads credentials, rights, quotas, network, balancer, keys, ways in, and the lock's AMIs."""

    checks = CHECKS

    def __init__(self, balancer: AwsBalancer) -> None:
        super().__init__(balancer.api)
        self.balancer = balancer

    def find_access(self) -> Iterable[Finding]:
        """Ask who we are, until when, and whether the region is enabled."""
        return credentials.check(self.api)

    def start(self, demand: Demand) -> Asked:
        """Return what the checks of one `doctor` share."""
        return Asked(self.api, demand, AwsBalancer(self.api, self.balancer.groups))
