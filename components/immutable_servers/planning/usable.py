"""Finds out whether a generation's image can be used again: in the catalog and not revoked."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from immutable_servers.contract.images import Images, describe_revoked
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.service import Plan


def find_usable(record: Record, catalog: Images) -> str:
    """Return the artifact for another round of a generation.

    It has the same version, but need not be the recorded one: that may have been baked again.

    Raises:
        ImageError: It is revoked or gone, or has another digest than the record.
    """
    what = f"Generation {record.generation} cannot be launched"
    catalog.refuse_revoked(what, record.images)
    artifact = catalog.find(record.image, record.version, record.digest)
    if artifact is None:
        raise ImageError(
            f"{what}: {_describe_gone(record)}",
            todo="At a commit that gives this version, `./immutable replace` bakes it again;"
            " `./immutable rollback` lists what a service can go back to; and"
            " `./immutable resume --now` follows the source.",
        )
    return artifact.id


def find_image_fault(record: Record, catalog: Images, *, launched: bool) -> str:
    """Return why a generation's image must not be used, empty when it may.

    Only a generation that is `launched` again needs it in the catalog.

    Raises:
        ImageError: It would be launched from an artifact of another digest.
    """
    revoked = catalog.find_revoked(record.images)
    if revoked:
        return describe_revoked(revoked)
    if launched and catalog.find(record.image, record.version, record.digest) is None:
        return _describe_gone(record)
    return ""


def _describe_gone(record: Record) -> str:
    return f"image {record.image} {record.version} is not in the catalog any more"


def refuse_revoked(
    plan: Plan, known: KnownService, catalog: Images, found: Collection[Artifact]
) -> Plan:
    """Refuse traffic, and more servers, for a generation whose image was revoked since its launch.

    What serves goes on, and keeps its number of servers: a group of a cloud makes a lost one again
    by itself. A note says so until another version is live. `found` are artifacts that this run has
    found already.

    Raises:
        ImageError: The image of a generation that exists, or one of its parents, is revoked.
    """
    desired, fleet = plan.desired, known.fleets.get(plan.desired.generation)
    if plan.fresh or fleet is None:
        return plan
    revoked = catalog.find_revoked(desired.images, found)
    if revoked is None:
        return plan
    if desired.state is not State.LIVE:
        what = f"Generation {desired.generation} gets no traffic"
        catalog.refuse_revoked(what, desired.images)
    if plan.servers > fleet.servers:
        what = f"Generation {desired.generation} gets no more servers"
        catalog.refuse_revoked(what, desired.images)
    note = (
        f"generation {desired.generation} serves, and its {describe_revoked(revoked)}: raise its"
        f" counter `rebuild` (./immutable update {revoked.image} --rebuild)"
    )
    return replace(plan, notes=(*plan.notes, note))


def find_gone(known: KnownService, catalog: Images) -> Iterator[str]:
    """Yield the versions of fleets that lack servers when the catalog has no artifact for them."""
    for generation, fleet in known.fleets.items():
        record = known.ledger.generations[generation]
        if fleet.whole:
            continue
        if catalog.find(record.image, record.version, record.digest) is None:
            yield record.version


def refuse_others(plan: Plan, known: KnownService, catalog: Images) -> None:
    """Compare the artifact of each generation of which this run may launch servers again.

    Raises:
        ImageError: The catalog has another one in its place.
    """
    for record in (plan.desired, *plan.others):
        fleet = known.fleets.get(record.generation)
        wanted = plan.servers if record is plan.desired else 0
        if fleet and not (fleet.whole and fleet.running >= max(fleet.servers, wanted)):
            catalog.find(record.image, record.version, record.digest)
