"""Finds the state's backend, and reads a file backend without the engine."""

import gzip
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from immutable_servers.contract.ownership import FILES
from immutable_servers.system.files import read_project

BACKEND = "PULUMI_BACKEND_URL"
CLOUD = "https://api.pulumi.com"
"""The CLI's default backend."""
PLAIN = "?metadata=skip"
"""Keeps a file backend from writing an `.attrs` file beside each file; nobody reads them.

Unlike the file itself its `.attrs` is not written in one step: an engine that is killed in between
leaves it empty, and then every command ends with "failed to load checkpoint: EOF".
https://github.com/google/go-cloud/blob/v0.46.0/blob/fileblob/attrs.go
"""
ORGANIZATION = "organization"
"""The name of a file backend's only organization."""


def find_backend(root: Path) -> str:
    """Return the URL of the backend that a run in `root` uses, chosen as the CLI chooses it.

    Raises:
        SettingsError: `Pulumi.yaml` cannot be read.
    """
    return os.environ.get(BACKEND) or find_named(root) or find_login() or CLOUD


def find_named(root: Path) -> str:
    """Return the backend that `Pulumi.yaml` names, empty when it names none.

    Raises:
        SettingsError: The file cannot be read.
    """
    backend = read_project(root).get("backend")
    return str(backend.get("url") or "") if isinstance(backend, Mapping) else ""


def find_login() -> str:
    """Return the backend of the last `pulumi login`, empty without one."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        read = json.loads((home / "credentials.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(read.get("current") or "") if isinstance(read, dict) else ""


def normalize(url: str, root: Path) -> str:
    """Return a backend's URL without user and password; a file backend's with its whole path.

    That path is plain: what the URL escapes is not escaped in it.
    """
    if url.startswith(FILES):
        return f"{FILES}{find_file_folder(url, root)}"
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def find_file_folder(url: str, root: Path) -> Path:
    """Return the folder that the CLI reads from a file backend's URL in the project `root`."""
    raw = re.split("[?#]", url.removeprefix(FILES), maxsplit=1)[0]
    path = Path(os.fsdecode(unquote_to_bytes(raw)))
    return Path(os.path.normpath(root / (path.expanduser() if raw.startswith("~") else path)))


def find_whole_url(url: str, root: Path) -> str:
    """Return a file backend's URL with its whole path; any other URL as it is.

    The CLI would put the checkout's own path in front of a relative one as it is, and then read the
    `%` or `#` of a folder's name there as part of the URL: the state of `C#` went to its neighbour.
    """
    if not url.startswith(FILES) or url.removeprefix(FILES).startswith(("/", "~")):
        return url
    options = url.partition("?")[2]
    return f"{_render(find_file_folder(url, root))}{f'?{options}' if options else ''}"


def shorten(url: str) -> str:
    """Return a URL to show, without its options, which may name a secret."""
    if url.startswith(FILES):
        return url
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def digest_backend(url: str) -> str:
    """Return 12 hex digits that identify a backend, its options included."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def make_file_url(folder: Path) -> str:
    """Return the URL of a file backend in a folder; its files survive a kill at any moment."""
    return f"{_render(folder)}{PLAIN}"


def _render(folder: Path) -> str:
    return f"{FILES}{quote(os.fsencode(folder))}"


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


def list_state_files(folder: Path, project: str) -> list[str]:
    """Return the names of a project's stacks that a file backend's folder holds."""
    files = (folder / ".pulumi" / "stacks" / project).glob("*.json*")
    names = {file.name.removesuffix(".gz") for file in files}
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


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
