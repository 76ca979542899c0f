"""What is known of one service when its next generation is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass

from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.wish import Wish


@dataclass(frozen=True)
class Known:
    """What is known of a service: its completed ledger, and its fleets by generation."""

    ledger: ServiceLedger
    fleets: Mapping[str, Fleet]

    def find_live(self) -> Record | None:
        """Return the generation that has the traffic."""
        records = self.ledger.generations.values()
        return next((record for record in records if record.state is State.LIVE), None)

    def find_rounds(self, wish: Wish) -> list[Record]:
        """Return the generations of the wished make, the first round first."""
        records = self.ledger.generations.values()
        made = (r for r in records if r.is_same_make(wish.version, wish.launch, wish.shape))
        return sorted(made, key=lambda record: record.round)

    def find_failed(self, wish: Wish) -> Record | None:
        """Return the last generation of the wished make when it failed under traffic."""
        last = next(iter(self.find_rounds(wish)[-1:]), None)
        return last if last and last.fault and last.state is not State.LIVE else None

    def can_have(self, record: Record, servers: int, wish: Wish) -> bool:
        """Tell whether a generation has so many servers and is whole, or can be made so."""
        fleet = self.fleets[record.generation]
        return (fleet.whole and fleet.servers >= servers) or record.version not in wish.gone

    def find_fault(self, record: Record, wish: Wish) -> str:
        """Say why a generation cannot be used any more, or nothing."""
        fleet = self.fleets.get(record.generation)
        if fleet is None:
            return "has no fleet any more"
        if fleet.leaving:
            return "is being deleted"
        if record.version == wish.version and not self.can_have(record, wish.servers, wish):
            return "lacks servers, and its artifact is gone from the catalog"
        if record.state is State.LIVE:
            return ""
        if record.verified:
            return "" if fleet.whole else "is not whole"
        return "" if record.window_ends > wish.now else "was not verified within its login window"
