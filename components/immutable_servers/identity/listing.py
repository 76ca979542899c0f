"""Lists the files of a folder that count in a version, by asking git.

A file counts when git tracks it or no `.gitignore` leaves it out, and no `.imageignore` does
either: for those git is asked about a tree that has them as its `.gitignore`. Only files of the
checkout decide: a user's global excludes and `.git/info/exclude` differ between machines.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from stat import S_ISREG

from immutable_servers.errors import ImageError
from immutable_servers.system.git import run_git
from immutable_servers.text.printable import shorten

LIST = ("ls-files", "-z", "--cached", "--others", "--exclude-per-directory=.gitignore")
IMAGE_IGNORE = b".imageignore"
NO_REPOSITORY = b"not a git repository (or any"
LEFT_OUT_BY_ERROR = re.compile(
    rb"^warning: (?:could not open directory|unable to access) .*", re.MULTILINE
)
MOST_LEVELS, LONGEST_PATH = 256, 3072
"""What a path below a folder may have: the copy of a bake, and a server, put it below another."""


def list_files(folder: Path, root: Path | None = None) -> list[bytes]:
    """Return the paths, from the folder, of what counts in it.

    Args:
        folder: A real folder, not the path of a link to one.
        root: The project's root, above the folder: its repository is asked, and ignore files are
            read from it on. Without it the folder is read as if it lay in no repository.

    Raises:
        ImageError: A folder or an ignore file cannot be read, or a path is too long.
        SetupError: There is no git.
    """
    base = root or folder
    found = _ask(folder) if root else None
    if not found and (found is None or _is_ignored(base)):
        with tempfile.TemporaryDirectory() as scratch:
            found = _ask(folder, _make_repository(Path(scratch), base))
    _refuse_long(found or set())
    inside = os.fsencode(folder.relative_to(base)) + b"/" if folder != base else b""
    left_out = find_left_out(base, [inside + path for path in found or ()])
    return sorted(path for path in found or () if inside + path not in left_out)


def find_left_out(root: Path, paths: Iterable[bytes]) -> set[bytes]:
    """Return those of the paths, from `root`, that its `.imageignore` files leave out.

    Raises:
        ImageError: Such a file cannot be read.
    """
    paths = set(paths)
    rules = dict(_read_rules(os.fsencode(root), {b"", *_list_parents(paths)}))
    if not rules:
        return set()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        for inside, text in rules.items():
            place = tree / os.fsdecode(inside)
            place.mkdir(parents=True, exist_ok=True)
            (place / ".gitignore").write_bytes(text)
        done = run_git(
            tree,
            *("check-ignore", "--no-index", "-z", "--stdin"),
            given=b"".join(b"./%b\0" % path for path in paths),
            places=_make_repository(Path(scratch), tree),
        )
    if done.returncode > 1:
        raise _refused(root, done.stderr)
    return {path.removeprefix(b"./") for path in done.stdout.split(b"\0")}


def _ask(folder: Path, places: Mapping[str, Path] | None = None) -> set[bytes] | None:
    """Return git's list of a folder with the repositories in it, or None without a repository."""
    done = run_git(folder, *LIST, places=places)
    if NO_REPOSITORY in done.stderr:
        return None
    trouble = b"\n".join(LEFT_OUT_BY_ERROR.findall(done.stderr))
    if done.returncode or trouble:
        raise _refused(folder, trouble or done.stderr)
    found = set(done.stdout.split(b"\0")) - {b""}
    top = os.fsencode(folder)
    for path in [path.rstrip(b"/") for path in found if _is_repository(top + b"/" + path)]:
        found |= {path + b"/" + below for below in _ask(folder / os.fsdecode(path)) or ()}
    return found


def _is_repository(path: bytes) -> bool:
    path = path.rstrip(b"/")
    return os.path.lexists(path + b"/.git") and not os.path.islink(path)  # noqa: PTH114 - bytes


def _is_ignored(root: Path) -> bool:
    """Return whether the repository around a project is another one, which ignores the project."""
    return run_git(root, "check-ignore", "--quiet", ".").returncode == 0


def _make_repository(scratch: Path, tree: Path) -> Mapping[str, Path]:
    """Make an empty repository for a tree, and return the variables that name both."""
    for name in ("objects", "refs"):
        (scratch / "git" / name).mkdir(parents=True)
    (scratch / "git" / "HEAD").write_text("ref: refs/heads/main\n")
    return {"GIT_DIR": scratch / "git", "GIT_WORK_TREE": tree}


def _list_parents(paths: Iterable[bytes]) -> set[bytes]:
    """Return the folders that lie between a root and the paths."""
    found: set[bytes] = set()
    for path in paths:
        while (path := os.path.dirname(path)) and path not in found:  # noqa: PTH120 - bytes
            found.add(path)
    return found


def _read_rules(root: bytes, folders: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield folder and content of each `.imageignore`; as git, none that is a link."""
    for inside in folders:
        file = os.path.join(root, inside, IMAGE_IGNORE)  # noqa: PTH118 - bytes
        try:
            if S_ISREG(os.lstat(file).st_mode):
                with open(file, "rb") as stream:  # noqa: PTH123 - bytes
                    yield inside, stream.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _refused(Path(os.fsdecode(file)), os.fsencode(str(error))) from error


def _refuse_long(paths: Iterable[bytes]) -> None:
    for path in paths:
        levels = path.count(b"/")
        if levels > MOST_LEVELS or len(path) > LONGEST_PATH:
            raise ImageError(
                "A file lies too deep to be copied",
                facts=[
                    f"{levels} folders, a path of {len(path)} bytes: {os.fsdecode(path[:200])}…",
                    f"A path may have {MOST_LEVELS} folders and {LONGEST_PATH} bytes.",
                ],
                todo="Move it, or name its folder in .gitignore.",
            )


def _refused(folder: Path, said: bytes) -> ImageError:
    lines = said.decode(errors="backslashreplace").splitlines()
    return ImageError(
        f"The files of {folder} cannot be listed",
        facts=[shorten(line, 300) for line in lines[:10]],
        todo="Do as git says, or correct what it names.",
    )
