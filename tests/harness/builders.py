"""Records, fleets and wishes for the tests of decisions, and a machine of `local`."""

from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.pin import Pin
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.wish import Policy, Wish
from immutable_servers.targets.local.qemu import MachineSpec

NOW = 1_000_000.0
LAUNCH = {"size": "small", "port": 80, "health": "/", "env": {}, "overrides": {}}
VERIFIED = {"at": "then", "how": "12 passed"}
MACHINE = MachineSpec(
    name="web-3f2a9c41-0",
    folder=Path("/data/servers/0"),
    disk=Path("/data/servers/0/overlay.qcow2"),
    kernel=Path("/data/images/app/1/vmlinuz"),
    initrd=Path("/data/images/app/1/initrd.img"),
    qmp=Path("/run/x/qmp"),
    memory=512,
    cpus=1,
    accelerator="tcg",
    http_port=0,
    guest_port=80,
)


def make_wish(version: str = "v1", keep: int = 1) -> Wish:
    """Return a wish for a version."""
    return Wish(
        image="app",
        version=version,
        images={"app": version, "base": "b"},
        launch=LAUNCH,
        shape="shape",
        servers=2,
        checks="checks",
        standbys=Policy(keep),
        commit="c",
        now=NOW,
    )


def make_record(generation: str, version: str, order: int, **changes: object) -> Record:
    """Return a verified record, or what `changes` make of it."""
    record = Record(
        generation=generation,
        order=order,
        state=State.STANDBY,
        image="app",
        version=version,
        images={"app": version, "base": "b"},
        artifact=f"app/{version}",
        launch=LAUNCH,
        shape="shape",
        servers=2,
        round=0,
        verified=VERIFIED,
        window_ends=int(NOW) - 1,
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def make_fleet(record: Record, *, whole: bool = True, leaving: bool = False) -> Fleet:
    """Return the fleet of a record as a target would report it."""
    return Fleet(record.generation, record.to_plain(), 2, whole=whole, running=2, leaving=leaving)


def know(
    records: list[Record], live: str, *, broken: tuple[str, ...] = (), gone: tuple[str, ...] = ()
) -> KnownService:
    """Return a service with these records and their fleets."""
    fleets = {
        record.generation: make_fleet(record, whole=record.generation not in broken)
        for record in records
        if record.generation not in gone
    }
    ledger = ServiceLedger({record.generation: record for record in records})
    return KnownService("web", ledger, fleets, {live: 100} if live else {})


def with_pin(known: KnownService, pin: Pin | None) -> KnownService:
    """Return the service with another pin."""
    return replace(known, recorded=replace(known.recorded, pin=pin))
