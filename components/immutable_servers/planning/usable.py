"""Whether a generation's image may be used again: it is in the catalog, and not revoked."""

from collections.abc import Iterator, Mapping

from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact, Fleet
from immutable_servers.errors import ImageError
from immutable_servers.ledger.records import Record, ServiceLedger

REVOKED = "revoked"
"""The mark of an artifact that nothing is launched from any more; its value is the reason."""


def find_usable(record: Record, catalog: Images) -> str:
    """Return the artifact that another round of a generation is launched from.

    It is of the same version, and need not be the recorded one: that may have been baked again.

    Raises:
        ImageError: It is revoked or gone.
    """
    artifact = catalog.find(record.image, record.version)
    fault = _judge(record, artifact, launched=True)
    if fault or artifact is None:
        raise ImageError(
            f"Generation {record.generation} cannot be launched, nor any other: {fault}",
            todo="At a commit that gives this version, `./immutable replace` bakes it again;"
            " `./immutable rollback` lists what a service can go back to; and"
            " `./immutable resume --now` follows the source.",
        )
    return artifact.id


def find_image_fault(record: Record, catalog: Images, *, launched: bool) -> str:
    """Say why a generation's image must not be used, or nothing; `launched` needs the image."""
    return _judge(record, catalog.find(record.image, record.version), launched=launched)


def _judge(record: Record, artifact: Artifact | None, *, launched: bool) -> str:
    if artifact is None:
        gone = f"image {record.image} {record.version} is not in the catalog any more"
        return gone if launched else ""
    reason = artifact.marks.get(REVOKED)
    return f"image {record.image} {record.version} is revoked ({reason})" if reason else ""


def find_gone(ledger: ServiceLedger, fleets: Mapping[str, Fleet], catalog: Images) -> Iterator[str]:
    """Yield the versions of fleets that are not whole, and of which nothing can be launched."""
    for generation, fleet in fleets.items():
        record = ledger.generations[generation]
        if not fleet.whole and catalog.find(record.image, record.version) is None:
            yield record.version
