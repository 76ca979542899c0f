"""Computes the digest of a service's checks, which changes when they do."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from immutable_servers.contract.canonical import compute_digest
from immutable_servers.identity.copies import copy_entries
from immutable_servers.identity.files import (
    Entry,
    digest_entries,
    find_entries,
    read_entries,
    read_manifest,
)

DIGITS = 12


def digest_checks(checks: Sequence[Path]) -> str:
    """Return 12 hex digits over the content of the checks' folders, wherever they are.

    Raises:
        ImageError: A file cannot be read.
    """
    return _digest([_read(folder) for folder in checks])


def copy_checks(copies: Mapping[Path, Path]) -> str:
    """Copy what counts of the checks' folders, and return the digest of the copy.

    It is that of `digest_checks`, unless a file changed since that was computed.

    Args:
        copies: For each folder, or file, its copy's place. Folders may lie in one another.

    Raises:
        ImageError: A file cannot be read or copied.
    """
    found = [(check, place, _find(check)) for check, place in copies.items()]
    for check, place, entries in found:
        source, folder = (check, place) if check.is_dir() else (check.parent, place.parent)
        copy_entries(source, entries, folder, "for the checks")
    return _digest([_read_copy(check, place, entries) for check, place, entries in found])


def _digest(manifests: Sequence[Mapping[str, str]]) -> str:
    return compute_digest(manifests, "checks")[:DIGITS]


def _read(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return _read_copy(folder, folder, _find(folder))
    return read_manifest(folder, skip=_is_by_product)


def _find(check: Path) -> Sequence[Entry]:
    if not check.is_dir():
        return read_entries(check.parent, [os.fsencode(check.name)])
    return find_entries(check, skip=_is_by_product)


def _read_copy(check: Path, place: Path, entries: Sequence[Entry]) -> dict[str, str]:
    if not check.is_dir():
        return {"": digest_entries(place.parent, entries).get(check.name, "")}
    return digest_entries(place, entries)


def _is_by_product(path: str) -> bool:
    return "__pycache__" in PurePath(path).parts
