"""A service as its ledger and its target know it: all that a decision knows of the world."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import ALL, Fleet, Scope
from immutable_servers.ledger.reader import complete
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.wish import Wish


@dataclass(frozen=True)
class KnownService:
    """A service as its ledger and its target know it.

    Attributes:
        recorded: Its ledger as the last run left it.
        fleets: The fleets that exist, by generation.
        traffic: The balancer's weights, by generation.
    """

    name: str
    recorded: ServiceLedger
    fleets: Mapping[str, Fleet]
    traffic: Mapping[str, int]

    @cached_property
    def ledger(self) -> ServiceLedger:
        """The recorded ledger, completed by what exists and serves.

        Raises:
            LedgerError: The target's record of a fleet cannot be read.
        """
        return complete(self.recorded, self.fleets, self.traffic)

    @property
    def live(self) -> Record | None:
        """The generation that has the traffic."""
        return next(iter(self.list_in(State.LIVE)), None)

    @property
    def earlier(self) -> list[Record]:
        """The verified generations that are not live, the newest first."""
        return [r for r in self.list_in(State.STANDBY, State.RETIRED) if r.verified]

    @property
    def existing(self) -> list[Record]:
        """The generations that have a fleet, the newest first."""
        return [record for record in self.list_in(*State) if record.generation in self.fleets]

    def list_in(self, *states: State) -> list[Record]:
        """Return the generations in these states, the newest first."""
        records = [r for r in self.ledger.generations.values() if r.state in states]
        return sorted(records, key=lambda record: -record.order)

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
        """Return whether a generation has that many servers and is whole, or can get them."""
        fleet = self.fleets[record.generation]
        return (fleet.whole and fleet.servers >= servers) or record.version not in wish.gone

    def find_fault(self, record: Record, wish: Wish) -> str:
        """Return why a generation cannot be used any more, empty when it can."""
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


def ask_service(scope: Scope, target: Target, recorded: ServiceLedger) -> KnownService:
    """Ask the target which fleets of a service exist and which of them serve.

    Raises:
        ImmutableError: The target cannot be asked.
    """
    fleets, traffic = target.fleets.find(scope), target.balancer.find_weights(scope)
    return KnownService(scope.service, recorded, fleets, traffic)


def trust_ledger(name: str, recorded: ServiceLedger) -> KnownService:
    """Take what the ledger says for what exists and serves, without asking the target."""
    records = [r for r in recorded.generations.values() if r.state is not State.RETIRED]
    return KnownService(
        name,
        recorded,
        fleets={record.generation: _assume_fleet(record) for record in records},
        traffic={r.generation: ALL for r in records if r.state is State.LIVE},
    )


def _assume_fleet(record: Record) -> Fleet:
    return Fleet(
        generation=record.generation,
        record=record.to_plain(),
        servers=record.servers,
        whole=True,
        running=record.servers,
    )
