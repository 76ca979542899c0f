"""Computes the digest of a service's checks, which changes when they do."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from immutable_servers.identity.canonical import compute_digest
from immutable_servers.identity.files import read_manifest

DIGITS = 12


def digest_checks(checks: Sequence[Path]) -> str:
    """Return 12 hex digits over the content of the checks' folders, wherever they are.

    Raises:
        ImageError: A file cannot be read.
    """
    manifests = [_read(folder) for folder in checks]
    return compute_digest(manifests, "checks")[:DIGITS]


def _read(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        alone = read_manifest(folder.parent, skip=lambda path: path != folder.name)
        return {"": alone.get(folder.name, "")}
    return read_manifest(folder, skip=_is_by_product)


def _is_by_product(path: str) -> bool:
    return "__pycache__" in PurePath(path).parts
