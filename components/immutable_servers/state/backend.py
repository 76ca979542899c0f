"""Finds the state's backend, and reads a file backend without the engine."""

import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

BACKEND = "PULUMI_BACKEND_URL"
CLOUD = "https://api.pulumi.com"
"""The CLI's default backend."""
SCHEME = "file://"
PLAIN = "?metadata=skip"
"""Keeps a file backend from writing an `.attrs` file beside each file; nobody reads them.

Unlike the file itself its `.attrs` is not written in one step: an engine that is killed in between
leaves it empty, and then every command ends with "failed to load checkpoint: EOF".
https://github.com/google/go-cloud/blob/v0.46.0/blob/fileblob/attrs.go
"""
ORGANIZATION = "organization"
"""The name of a file backend's only organization."""


def find_backend(root: Path) -> str:
    """Return the URL of the backend that a run in `root` uses, chosen as the CLI chooses it."""
    return os.environ.get(BACKEND) or _find_named(root) or find_login() or CLOUD


def find_login() -> str:
    """Return the backend of the last `pulumi login`, empty without one."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        read = json.loads((home / "credentials.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(read.get("current") or "") if isinstance(read, dict) else ""


def normalize(url: str, root: Path) -> str:
    """Return a backend's URL without user and password; a file backend's with its whole path."""
    if url.startswith(SCHEME):
        path = Path(url.removeprefix(SCHEME).partition("?")[0]).expanduser()
        return f"{SCHEME}{os.path.normpath(root / path)}"
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def shorten(url: str) -> str:
    """Return a URL to show, without its options, which may name a secret."""
    if url.startswith(SCHEME):
        return url
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def digest_backend(url: str) -> str:
    """Return 12 hex digits that identify a backend, its options included."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def make_file_url(folder: Path) -> str:
    """Return the URL of a file backend in a folder; its files survive a kill at any moment."""
    return f"{SCHEME}{folder}{PLAIN}"


def find_state_file(folder: Path, project: str, stack: str) -> Path | None:
    """Return the file in which a file backend's folder holds a stack; None when it holds none.

    The layouts are those of the engine's file backend, its first one too:
    https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/store.go
    """
    stacks = folder / ".pulumi" / "stacks"
    for file in (stacks / project / f"{stack}.json", stacks / f"{stack}.json"):
        for found in (file.with_name(f"{file.name}.gz"), file):
            if found.exists():
                return found
    return None


def read_resources(file: Path) -> list[Mapping[str, Any]]:
    """Return the resources that a state file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no state file.
    """
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    try:
        found = (json.loads(text)["checkpoint"].get("latest") or {}).get("resources") or []
        return [dict(resource) for resource in found]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no state file") from error


def find_locks_dir(folder: Path, project: str, stack: str) -> Path:
    """Return the folder of the locks that a file backend's runs hold on a stack.

    https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/backend/diy/lock.go
    """
    return folder / ".pulumi" / "locks" / ORGANIZATION / project / stack


def _find_named(root: Path) -> str:
    """Return the backend that `Pulumi.yaml` names, empty when it names none."""
    import yaml  # noqa: PLC0415 - most runs have the variable

    try:
        read = yaml.safe_load((root / "Pulumi.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    backend = read.get("backend") if isinstance(read, Mapping) else None
    return str(backend.get("url") or "") if isinstance(backend, Mapping) else ""
