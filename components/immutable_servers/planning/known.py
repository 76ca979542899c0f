"""A service as its ledger and its target know it: all that a decision knows of the world."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import ALL, Fleet, Scope
from immutable_servers.ledger.reader import complete
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.wish import Wish

LACKING = "lacks servers, and its artifact is gone from the catalog"
REBAKED = "cannot start its servers again: its image was baked again since"


@dataclass(frozen=True)
class KnownService:
    """A service as its ledger and its target know it.

    Attributes:
        recorded: Its ledger as the last run left it.
        fleets: The fleets that exist, by generation.
        traffic: The balancer's weights, by generation.
        inspected: How logins that were given out were used, by generation.
    """

    name: str
    recorded: ServiceLedger
    fleets: Mapping[str, Fleet]
    traffic: Mapping[str, int]
    inspected: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> ServiceLedger:
        """The recorded ledger, completed by what exists and serves, and by who logged in.

        The note of a login goes with the keys, and these may go before the servers do.

        Raises:
            LedgerError: The target's record of a fleet cannot be read.
        """
        found = complete(self.recorded, self.fleets, self.traffic)
        noted = {
            one: replace(found.generations[one], inspected=how)
            for one, how in self.inspected.items()
        }
        return replace(found, generations={**found.generations, **noted})

    @property
    def live(self) -> Record | None:
        """The generation that has the traffic."""
        return next(iter(self.list_in(State.LIVE)), None)

    @property
    def earlier(self) -> list[Record]:
        """The verified generations that are not live, the one that served last first."""
        return [r for r in self.list_left(State.STANDBY, State.RETIRED) if r.verified]

    @property
    def existing(self) -> list[Record]:
        """The generations that have a fleet, the newest first."""
        return [record for record in self.list_in(*State) if record.generation in self.fleets]

    def list_in(self, *states: State) -> list[Record]:
        """Return the generations in these states, the newest first."""
        records = [r for r in self.ledger.generations.values() if r.state in states]
        return sorted(records, key=lambda record: -record.order)

    def list_left(self, *states: State) -> list[Record]:
        """Return the generations in these states, the one that traffic left last first."""
        return sorted(self.list_in(*states), key=lambda record: -record.left_at)

    def find_rounds(self, wish: Wish) -> list[Record]:
        """Return the generations of the wished make, the first round first."""
        records = self.ledger.generations.values()
        made = (
            r for r in records if r.is_same_make(wish.version, wish.digest, wish.launch, wish.shape)
        )
        return sorted(made, key=lambda record: record.round)

    def is_left(self, left: str, made: Wish | Record) -> bool:
        """Return whether it is of the make that a rollback left.

        Args:
            left: A generation, or its version, which an early program's pin names.
            made: What is wished, or another generation.
        """
        record = self.ledger.generations.get(left)
        if record is None:
            return made.version == left
        return record.is_same_make(made.version, made.digest, made.launch, made.shape)

    def find_failed(self, wish: Wish) -> Record | None:
        """Return the last generation of the wished make when it failed under traffic."""
        last = next(iter(self.find_rounds(wish)[-1:]), None)
        return last if last and last.fault and last.state is not State.LIVE else None

    def can_have(self, record: Record, servers: int, wish: Wish) -> bool:
        """Return whether a generation has that many servers and is whole, or can get them."""
        fleet = self.fleets[record.generation]
        if fleet.rebaked:
            return False
        return (fleet.whole and fleet.servers >= servers) or record.version not in wish.gone

    def awaits_verdict(self, record: Record) -> bool:
        """Return whether it has traffic and no run has ended since: its verification decides.

        A run that died after the move has left its verdict in the state, where the resource of that
        name finds it. Somebody who moved the traffic by hand has left none, and it is verified now.
        """
        recorded = self.recorded.generations.get(record.generation)
        is_judged = bool(record.verified) or (recorded and recorded.state is State.LIVE)
        return bool(self.traffic.get(record.generation)) and not is_judged

    def is_way_back(self, record: Record) -> bool:
        """Return whether what serves now may stand by when traffic has left it."""
        if self.find_inspection(record):
            return False
        return bool(record.verified) or self.awaits_verdict(record)

    def find_inspection(self, record: Record) -> str:
        """Return who logged in to a generation's servers before they were sealed, empty if none.

        Keys that are made again for what serves let nobody in, but their use stops its seal. What
        the record says of before its seal does not matter any more.
        """
        before = "" if record.verified and record.state is State.LIVE else record.inspected
        return before or self.inspected.get(record.generation, "")

    def find_fault(self, record: Record, wish: Wish) -> str:
        """Return why a generation cannot be used any more, empty when it can."""
        fleet = self.fleets.get(record.generation)
        if fleet is None:
            return "has no fleet any more"
        if fleet.leaving:
            return "is being deleted"
        if record.version == wish.version and not self.can_have(record, wish.servers, wish):
            return REBAKED if fleet.rebaked else LACKING
        return self._find_unready(record, fleet, wish)

    def _find_unready(self, record: Record, fleet: Fleet, wish: Wish) -> str:
        """Return why a generation whose fleet exists is not to serve, empty when it may."""
        inspected = self.find_inspection(record)
        if inspected:
            return f"is not verified again ({inspected})"
        if record.verified:
            return "" if fleet.whole or record.state is State.LIVE else "is not whole"
        if self.awaits_verdict(record):
            return ""
        # A window that ends later than any that opens now is one of a clock that was wrong.
        is_open = wish.now < record.window_ends <= wish.now + LOGIN_WINDOW
        return "" if is_open else "was not verified within its login window"


def ask_service(scope: Scope, target: Target, recorded: ServiceLedger) -> KnownService:
    """Ask the target which fleets of a service exist and which of them serve.

    Raises:
        ImmutableError: The target cannot be asked.
    """
    fleets, traffic = target.fleets.find(scope), target.balancer.find_weights(scope)
    known = KnownService(scope.service, recorded, fleets, traffic)
    # Of those that were verified too: a seal that met a login has noted it.
    asked = {one: target.access.find_inspection(replace(scope, generation=one)) for one in fleets}
    return replace(known, inspected={one: how for one, how in asked.items() if how})


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
