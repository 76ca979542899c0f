"""Whether a generation's image may be used again: it is in the catalog, and not revoked."""

from immutable_servers.errors import ImageError
from immutable_servers.records import Record
from immutable_servers.targets.contract import Catalog

REVOKED = "revoked"
"""The mark of an artifact that nothing is launched from any more; its value is the reason."""


def refuse_unusable(record: Record, catalog: Catalog) -> None:
    """Refuse to launch a generation again whose artifact is revoked or gone.

    Raises:
        ImageError: It is.
    """
    fault = find_image_fault(record, catalog, launched=True)
    if fault:
        raise ImageError(
            f"Another round of generation {record.generation} cannot be launched: {fault}",
            todo="`./immutable rollback` lists what a service can go back to; `./immutable resume`"
            " follows the source again.",
        )


def find_image_fault(record: Record, catalog: Catalog, *, launched: bool) -> str:
    """Say why a generation's image must not be used, or nothing; `launched` needs the image."""
    artifact = catalog.find(record.image, record.version)
    if artifact is None:
        gone = f"image {record.image} {record.version} is not in the catalog any more"
        return gone if launched else ""
    reason = artifact.marks.get(REVOKED)
    return f"image {record.image} {record.version} is revoked ({reason})" if reason else ""
