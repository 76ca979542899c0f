"""Explains the engine's refusal to delete what is protected: a pointer or a balancer."""

import re

from immutable_servers.errors import ImmutableError

REFUSAL = re.compile(
    r'resource "(?P<urn>urn:pulumi:(?P<stack>[^:"]+)::[^"]*?(?P<kind>[^:"/]+)::(?P<name>[^:"]+))"'
    r" cannot be deleted\.?\s+because it is protected"
)
"""https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/resource/deploy/step.go"""
BALANCER = "balancer"
"""A balancer's name in every program; a pointer has its service's."""


def find_protected(text: str) -> ImmutableError | None:
    """Return our error for a text of the CLI; None when it is about something else.

    The engine advises to unprotect it, and what serves with it may then be deleted.
    """
    found = REFUSAL.search(text)
    if found is None:
        return None
    urn, stack, kind, name = found.group("urn", "stack", "kind", "name")
    own = BALANCER if BALANCER in kind.lower() else "SERVICE"
    return ImmutableError(
        f"The state holds the {kind} {name}, which this program does not declare",
        facts=[urn, "It is protected, so it was not deleted; what serves goes on"],
        todo="When somebody gave it another name in the state, put back its own:"
        f" `pulumi state rename '{urn}' {own} --stack {stack}`. When that name is taken, since an"
        " update has made it again, take this one out of the state, which touches nothing that"
        f" runs: `pulumi state delete '{urn}' --force --stack {stack}`. Before either:"
        ' `eval "$(./immutable env)"`. A service that is to go:'
        f" `./immutable destroy {stack} --service {name}`.",
    )
