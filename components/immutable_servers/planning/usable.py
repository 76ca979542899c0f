"""Finds out whether a generation's image can be used again: in the catalog and not revoked."""

from collections.abc import Iterator

from immutable_servers.contract.images import Images
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.ledger.records import Record
from immutable_servers.planning.known import KnownService

REVOKED = "revoked"
"""The mark of an artifact that must not be launched any more; its value is the reason."""


def find_usable(record: Record, catalog: Images) -> str:
    """Return the artifact for another round of a generation.

    It has the same version, but need not be the recorded one: that may have been baked again.

    Raises:
        ImageError: It is revoked or gone.
    """
    artifact = catalog.find(record.image, record.version)
    fault = _judge(record, artifact, launched=True)
    if fault or artifact is None:
        raise ImageError(
            f"Generation {record.generation} cannot be launched: {fault}",
            todo="At a commit that gives this version, `./immutable replace` bakes it again;"
            " `./immutable rollback` lists what a service can go back to; and"
            " `./immutable resume --now` follows the source.",
        )
    return artifact.id


def find_image_fault(record: Record, catalog: Images, *, launched: bool) -> str:
    """Return why a generation's image must not be used, empty when it may.

    Only a generation that is `launched` again needs it in the catalog.
    """
    return _judge(record, catalog.find(record.image, record.version), launched=launched)


def _judge(record: Record, artifact: Artifact | None, *, launched: bool) -> str:
    if artifact is None:
        gone = f"image {record.image} {record.version} is not in the catalog any more"
        return gone if launched else ""
    reason = artifact.marks.get(REVOKED)
    return f"image {record.image} {record.version} is revoked ({reason})" if reason else ""


def find_gone(known: KnownService, catalog: Images) -> Iterator[str]:
    """Yield the versions of fleets that lack servers when the catalog has no artifact for them."""
    for generation, fleet in known.fleets.items():
        record = known.ledger.generations[generation]
        if not fleet.whole and catalog.find(record.image, record.version) is None:
            yield record.version
