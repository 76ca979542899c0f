"""Compares the files that an image is made of with a commit's.

`git status` does not say so: it looks at other files, and settings hide untracked files, files that
are assumed unchanged and submodules from it.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immutable_servers.identity.cache import DigestCache
from immutable_servers.identity.files import Entry, find_digests, find_entries, read_entries, spell
from immutable_servers.identity.inputs import ImageInputs, skip_others
from immutable_servers.identity.listing import find_left_out
from immutable_servers.identity.upstream_lock import LOCK_FILE
from immutable_servers.system.git import read_commit, run_git

if TYPE_CHECKING:
    from hashlib import _Hash

LINK, REPOSITORY = 0o120000, 0o160000
"""Modes of a symbolic link and of a submodule in git's trees."""
SHA256_DIGITS = 64


@dataclass(frozen=True)
class Committed:
    """A file of a commit.

    Attributes:
        mode: As git's trees have it.
        id: Git's id of its content.
        folder: The repository's folder, or one in it.
        name: How the content is named to git in that folder: by commit and path.
    """

    mode: int
    id: str
    folder: Path
    name: bytes


def is_committed(root: Path, images: Iterable[ImageInputs]) -> bool:
    """Return whether all files of these images are as in the checked out commit."""
    commit = read_commit(root)
    return bool(commit) and all(find_changes(root, commit, inputs) == [] for inputs in images)


def find_changes(root: Path, commit: str, inputs: ImageInputs) -> Sequence[tuple[str, str]] | None:
    """Return path and `added`, `removed` or `changed` where an image's files are not a commit's.

    None outside of git, and where the commit is not known, as in a shallow clone.

    Raises:
        ImageError: A file cannot be read.
    """
    tree = _read_tree(root, commit) if commit else None
    if tree is None:
        return None
    template = f"packer/{inputs.image}"
    return [
        (f"{name}/{path}" if path else name, word)
        for name in (template, *inputs.sources)
        for path, word in sorted(_compare(root, tree, name, inputs))
        if inputs.lock or (name, path) != (template, LOCK_FILE)
    ]


def find_unfetched(root: Path, images: Iterable[ImageInputs]) -> list[str]:
    """Return a note for each submodule in the images' folders that git has not fetched."""
    names = {name for one in images for name in (f"packer/{one.image}", *one.sources)}
    places = sorted(str((root / name).resolve()) for name in names)
    listed = run_git(root, "--literal-pathspecs", "ls-files", "-z", "--stage", "--", *places)
    lines = (line.partition(b"\t") for line in listed.stdout.split(b"\0"))
    found = [path for about, _, path in lines if about.startswith(b"%o " % REPOSITORY)]
    return [
        f"{spell(path)} is a submodule that is not fetched, so its files are not in the image:"
        " run `git submodule update --init`"
        for path in found
        if not (root / os.fsdecode(path) / ".git").exists()
    ]


def _read_tree(folder: Path, commit: str) -> dict[bytes, Committed] | None:
    """Return the files of a commit below a folder, with those of its submodules."""
    done = run_git(folder, "ls-tree", "-r", "-z", commit)
    if done.returncode:
        return None
    found: dict[bytes, Committed] = {}
    for line in filter(None, done.stdout.split(b"\0")):
        about, _, path = line.partition(b"\t")
        mode, _, digest = about.decode().split()
        place = folder / os.fsdecode(path)
        own = int(mode, 8) == REPOSITORY and (place / ".git").exists()
        below = _read_tree(place, digest) if own else None
        found |= {path + b"/" + name: file for name, file in (below or {}).items()}
        if below is None:
            name = commit.encode() + b":./" + path
            found[path] = Committed(int(mode, 8), digest, folder, name)
    return found


def _compare(
    root: Path, tree: Mapping[bytes, Committed], name: str, inputs: ImageInputs
) -> Iterator[tuple[str, str]]:
    """Yield path and word of what differs in one folder; the empty path is a link to it."""
    skip = skip_others(inputs.target) if name == f"packer/{inputs.image}" else None
    named, place = os.fsencode(name), (root / name).resolve()
    if (root / name).is_symlink():
        link = {entry.path: entry for entry in read_entries(root, [named])}
        for _, word in _compare_files(root, link, {k: v for k, v in tree.items() if k == named}):
            yield "", word
    inside = os.fsencode(place.relative_to(root.resolve())) + b"/"
    now = {entry.path: entry for entry in find_entries(place, root=root, skip=skip)}
    then = {
        path.removeprefix(inside): file for path, file in tree.items() if path.startswith(inside)
    }
    left_out = find_left_out(root.resolve(), [inside + path for path in then.keys() - now.keys()])
    for path, word in _compare_files(place, now, then):
        if inside + path not in left_out and not (skip and skip(spell(path))):
            yield spell(path), word


def _compare_files(
    place: Path, now: Mapping[bytes, Entry], then: Mapping[bytes, Committed]
) -> Iterator[tuple[bytes, str]]:
    yield from ((path, "removed") for path in then.keys() - now.keys())
    yield from ((path, "added") for path in now.keys() - then.keys())
    both = [now[path] for path in now.keys() & then.keys()]
    ids = _find_ids(place, both, len(next(iter(then.values())).id) if then else 0)
    for entry in both:
        file = then[entry.path]
        if not _has_mode(entry, file.mode) or not (
            ids[entry.path] == file.id or _is_filtered(place, entry, file)
        ):
            yield entry.path, "changed"


def _has_mode(entry: Entry, mode: int) -> bool:
    if entry.link is not None or mode in (LINK, REPOSITORY):
        return entry.link is not None and mode == LINK
    return entry.executable == bool(mode & 0o100)


def _find_ids(folder: Path, entries: Sequence[Entry], digits: int) -> dict[bytes, str]:
    """Return what git calls the contents of entries, read again only where a file changed."""

    def start(size: int) -> "_Hash":
        kind = hashlib.sha256 if digits == SHA256_DIGITS else hashlib.sha1
        return kind(b"blob %d\0" % size)

    cache = DigestCache.load(folder, f"git{digits}")
    digests = find_digests(folder, entries, cache, start)
    found: dict[bytes, str] = {}
    for entry in entries:
        digest = start(len(entry.link or b""))
        digest.update(entry.link or b"")
        found[entry.path] = digests.get(entry.name) or digest.hexdigest()
    return found


def _is_filtered(folder: Path, entry: Entry, file: Committed) -> bool:
    """Return whether a file is what a checkout makes of the commit's: LFS, `eol` and their like."""
    if entry.link is not None:
        return False
    done = run_git(file.folder, "cat-file", "--filters", file.name)
    content = (folder / os.fsdecode(entry.path)).read_bytes()
    return done.returncode == 0 and done.stdout == content
