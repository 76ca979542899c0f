"""Lists the generations whose fleets exist, for `Deployment`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immutable_servers.driver.commands.status.models import StackStatus


@dataclass(frozen=True)
class Generation:
    """A generation whose fleet exists, from ledger and target.

    Attributes:
        address: Where it answers; empty unless it is live.
        state: `candidate`, `live`, `standby` or `retired`.
        servers: How many it should hold.
        running: How many run now.
        whole: Every server that it should hold exists.
        verified: When, or how; empty when it was not.
        pinned: A rollback holds its service to it.
    """

    service: str
    id: str
    address: str
    state: str
    servers: int
    running: int
    whole: bool
    images: Mapping[str, str]
    verified: str
    pinned: bool


def list_generations(status: StackStatus) -> Iterator[Generation]:
    """Yield the generations of a status, of each service the newest first."""
    for service in status.services:
        for one in service.generations:
            yield Generation(
                service=service.name,
                id=one.id,
                address=service.address if one.state == "live" else "",
                state=one.state,
                servers=one.wanted,
                running=one.running,
                whole=one.whole,
                images=dict(one.images),
                verified=one.verified.get("at", one.verified.get("how", "")),
                pinned=service.is_pinned_to(one.id),
            )
