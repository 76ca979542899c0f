"""Whom the emulated firewall lets in."""

from collections.abc import Mapping
from typing import Any

import pytest

from clouds.gcp.emulation.firewall import is_let_in

NETWORK = "projects/p/global/networks/default"
OURS, OTHERS = "web@p.iam.gserviceaccount.com", "api@p.iam.gserviceaccount.com"
INSTANCE: Mapping[str, Any] = {
    "networkInterfaces": [{"network": f"https://www.googleapis.com/compute/v1/{NETWORK}"}],
    "serviceAccounts": [{"email": OURS}],
    "tags": {"items": ["web"]},
}
CHECKS = "35.191.0.1"
TCP = [{"IPProtocol": "tcp", "ports": ["80", "8000-8009"]}]


def make_rule(**words: Any) -> dict[str, Any]:  # noqa: ANN401 - the rule's own
    """Return a rule that lets Google's checks in."""
    return {"network": NETWORK, "sourceRanges": ["35.191.0.0/16"], "allowed": TCP, **words}


DENY = make_rule(allowed=[], denied=[{"IPProtocol": "all"}], sourceRanges=["0.0.0.0/0"])
del DENY["allowed"]


@pytest.mark.parametrize(
    ("rules", "let_in"),
    [
        ([], False),
        ([make_rule()], True),
        ([make_rule(allowed=[{"IPProtocol": "tcp"}])], True),
        ([make_rule(allowed=[{"IPProtocol": "all"}])], True),
        ([make_rule(allowed=[{"IPProtocol": "udp"}])], False),
        ([make_rule(allowed=[{"IPProtocol": "tcp", "ports": ["8010"]}])], False),
        ([make_rule(sourceRanges=["10.0.0.0/8"])], False),
        ([make_rule(sourceRanges=["10.0.0.0/8", CHECKS])], True),
        ([make_rule(network="projects/p/global/networks/other")], False),
        ([make_rule(direction="EGRESS")], False),
        ([make_rule(disabled=True)], False),
        ([make_rule(targetServiceAccounts=[OTHERS, OURS])], True),
        ([make_rule(targetServiceAccounts=[OTHERS])], False),
        ([make_rule(targetTags=["web"])], True),
        ([make_rule(targetTags=["api"])], False),
    ],
)
def test_a_rule_lets_in_what_all_of_it_is_about(
    rules: list[Mapping[str, Any]], *, let_in: bool
) -> None:
    """Network, direction, target, source, protocol and port; without a rule nobody comes in."""
    assert is_let_in(rules, INSTANCE, CHECKS, 8001) == let_in


@pytest.mark.parametrize(
    ("allow", "deny", "let_in"),
    [(1000, 65000, True), (65534, 65000, False), (1000, 1000, False), (None, 999, False)],
)
def test_the_lowest_number_decides(allow: int | None, deny: int, *, let_in: bool) -> None:
    """A deny of the same number is stronger; a rule that names none has 1000."""
    named = {} if allow is None else {"priority": allow}
    rules = [make_rule(**named), {**DENY, "priority": deny}]
    assert is_let_in(rules, INSTANCE, CHECKS, 80) == let_in
