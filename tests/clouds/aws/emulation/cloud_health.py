"""What a load balancer's health checks know of targets."""

import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

CHECK_SECONDS = 0.1
"""How often targets are asked; what the API says of intervals is only written down."""
CHECK_ANSWER_SECONDS = 2.0
CHECKER = "ELB-HealthChecker/2.0"
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html"""
Key = tuple[str, str]
"""ARN of a target group, and id of a target."""


@dataclass
class Target:
    """One target of a group, as the health checks know it."""

    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    description: str = "Target registration is in progress"
    passed: int = 0
    failed: int = 0

    def take(self, detail: str, group: Any) -> None:  # noqa: ANN401 - moto's target group
        """Count a check: empty when it passed, else why not."""
        if detail:
            self.passed, self.failed = 0, self.failed + 1
            if self.failed >= int(group.unhealthy_threshold_count):
                self.state = "unhealthy"
                self.reason, self.description = "Target.FailedHealthChecks", detail
        else:
            self.passed, self.failed = self.passed + 1, 0
            if self.passed >= int(group.healthy_threshold_count):
                self.state, self.reason, self.description = "healthy", "", ""


@dataclass
class Health:
    """What the health checks found, and which targets are on their way out.

    Attributes:
        leaving: Until when a target that was taken out still counts as draining: for all of its
            group's deregistration delay, whether it still answers somebody or not.
    """

    targets: dict[Key, Target] = field(default_factory=dict)
    leaving: dict[Key, float] = field(default_factory=dict)

    def is_draining(self, key: Key) -> bool:
        """Tell whether a target's deregistration is under way.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
        edit-target-group-attributes.html#deregistration-delay
        """
        return time.monotonic() < self.leaving.get(key, 0)


def ask(address: str, port: int, path: str, codes: str) -> str:
    """Return why a target's health check failed; empty when it passed."""
    asked = urllib.request.Request(
        f"http://{address}:{port}{path}", headers={"User-Agent": CHECKER}
    )
    try:
        with urllib.request.urlopen(asked, timeout=CHECK_ANSWER_SECONDS) as answer:  # noqa: S310
            code = answer.status
    except urllib.error.HTTPError as error:
        code = error.code
    except OSError as error:
        return f"Health checks failed: {error}"
    return "" if is_wanted(code, codes) else f"Health checks failed with these codes: [{code}]"


def is_wanted(code: int, codes: str) -> bool:
    """Tell whether a matcher such as `200,300-399` takes a code."""
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= code <= int(high or low):
            return True
    return False
