"""Asks the target what exists and serves, and compares it with what the ledger says."""

from collections.abc import Mapping
from dataclasses import dataclass

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Artifact, Fleet
from immutable_servers.identity import ImageVersion
from immutable_servers.ledger.records import Record, ServiceLedger, State
from immutable_servers.settings import Settings
from immutable_servers.targets.place import Place


@dataclass(frozen=True)
class Seen:
    """What is said to exist and to serve, by service; `baked` by image, None where it is not asked.

    Attributes:
        fleets: Generation id to fleet.
        traffic: Generation id to weight.
        baked: What the catalog holds of the versions.
    """

    fleets: Mapping[str, Mapping[str, Fleet]]
    traffic: Mapping[str, Mapping[str, int]]
    baked: Mapping[str, Artifact | None] | None


def ask_target(
    settings: Settings, versions: Mapping[str, ImageVersion], place: Place, target: Target
) -> Seen:
    """Ask the target what exists and what serves."""
    scopes = {name: place.of(name).scope for name in settings.services}
    return Seen(
        fleets={name: target.fleets.find(scope) for name, scope in scopes.items()},
        traffic={name: target.balancer.find_weights(scope) for name, scope in scopes.items()},
        baked={
            name: target.images.find(name, version.version) for name, version in versions.items()
        },
    )


def believe(known: Mapping[str, ServiceLedger]) -> Seen:
    """Take the ledgers' word for what exists and what serves."""
    fleets: dict[str, dict[str, Fleet]] = {}
    traffic: dict[str, dict[str, int]] = {}
    for name, ledger in known.items():
        there = [r for r in ledger.generations.values() if r.state is not State.RETIRED]
        fleets[name] = {record.generation: _believe_in(record) for record in there}
        traffic[name] = {r.generation: 100 for r in there if r.state is State.LIVE}
    return Seen(fleets, traffic, None)


def _believe_in(record: Record) -> Fleet:
    return Fleet(
        generation=record.generation,
        record=record.to_plain(),
        servers=record.servers,
        whole=True,
        running=record.servers,
    )
