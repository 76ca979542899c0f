"""Whether what was hashed is the commit, whatever git's settings keep silent."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.checkout import write_files
from immutable_servers.identity import read_image_inputs
from immutable_servers.identity.commits import find_changes, find_unfetched, is_committed
from immutable_servers.identity.inputs import ImageInputs
from immutable_servers.settings import ImageSettings
from immutable_servers.system.git import read_commit

FILES = {
    ".gitignore": "*.o\n",
    ".imageignore": "*.md\n",
    "app/a": "one\n",
    "app/readme.md": "x",
    "packer/app/provision.sh": "x",
    "packer/app/local.pkr.hcl": "x",
    "packer/app/aws.pkr.hcl": "x",
    "packer/app/upstream.lock.json": '{"rebuild": 1}',
    "README.md": "x",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a repository with a commit of it all."""
    made = write_files(tmp_path / "project", FILES)
    git(made, "init", "--quiet")
    commit(made)
    return made


def git(folder: Path, *words: str) -> None:
    """Run git as somebody."""
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    allow = ("-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *allow, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=one")


def read(root: Path) -> ImageInputs:
    chosen = ImageSettings(parent="base", sources=("app",))
    where = {"target": "local", "architecture": "x86_64", "parent_version": None}
    return read_image_inputs(root, "app", chosen, **where)  # type: ignore[arg-type]


def find(root: Path) -> dict[str, str] | None:
    """Return what differs from the commit; both answers are of one mind."""
    inputs = read(root)
    found = find_changes(root, read_commit(root), inputs)
    assert is_committed(root, [inputs]) == (found == [])
    return None if found is None else dict(found)


def test_a_checkout_is_the_commit(root: Path) -> None:
    """Also in another folder, and whatever changes beside the image's files."""
    assert find(root) == {}
    git(root, "clone", "--quiet", ".", "../other")
    assert find(root.parent / "other") == {}
    write_files(
        root, {"README.md": "y", "app/x.o": "x", "app/new.md": "x", "packer/app/aws.pkr.hcl": "y"}
    )
    (root / "app/readme.md").unlink()
    assert find(root) == {}


def test_every_kind_of_change_is_found(root: Path) -> None:
    """Content, executable bit, kind, a new name, a lost one, and the lock."""
    write_files(root, {"app/b": "x", "app/c": "x", "app/d": "x", "app/ä": "x"})
    (root / "app/link").symlink_to("a")
    commit(root)
    write_files(
        root, {"app/b": "y", "app/new": "x", "packer/app/upstream.lock.json": '{"rebuild": 2}'}
    )
    (root / "app/a").chmod(0o755)
    (root / "app/c").unlink()
    (root / "app/d").unlink()
    (root / "app/d").symlink_to("x")
    (root / "app/link").unlink()
    (root / "app/link").symlink_to("b")
    write_files(root, {"app/ä": "y"})
    changed = ("app/a", "app/b", "app/d", "app/link", "app/ä", "packer/app/upstream.lock.json")
    assert find(root) == {
        **dict.fromkeys(changed, "changed"),
        "app/c": "removed",
        "app/new": "added",
    }


def ignore_untracked(root: Path) -> None:
    git(root, "config", "status.showUntrackedFiles", "no")
    write_files(root, {"app/extra.bin": "x"})


def exclude(root: Path) -> None:
    write_files(root, {".git/info/exclude": "*.swp\n", "app/.a.swp": "x"})


def assume_unchanged(root: Path) -> None:
    git(root, "update-index", "--assume-unchanged", "app/a")
    write_files(root, {"app/a": "two\n"})


def skip_worktree(root: Path) -> None:
    git(root, "update-index", "--skip-worktree", "app/a")
    write_files(root, {"app/a": "two\n"})


def ignore_modes(root: Path) -> None:
    git(root, "config", "core.fileMode", "false")
    (root / "app/a").chmod(0o755)


def convert_line_ends(root: Path) -> None:
    git(root, "config", "core.autocrlf", "true")
    (root / "app/a").write_bytes(b"one\r\n")


def replace_head(root: Path) -> None:
    write_files(root, {"app/a": "two\n"})
    git(root, "add", "app/a")


@pytest.mark.parametrize(
    "change",
    [
        *(ignore_untracked, exclude, assume_unchanged, skip_worktree),
        *(ignore_modes, convert_line_ends, replace_head),
    ],
)
def test_no_setting_of_git_hides_a_change(root: Path, change: Callable[[Path], None]) -> None:
    """What is hashed is compared, not what git would say of the tree."""
    change(root)
    assert find(root)


def test_a_submodule_is_compared_with_the_commit_that_is_recorded(root: Path) -> None:
    """Also when git is told to ignore it; fetched, it is as good as any other folder."""
    origin = write_files(root.parent / "origin", {"a": "x"})
    git(origin, "init", "--quiet")
    commit(origin)
    git(root, "submodule", "add", "--quiet", str(origin), "app/lib")
    git(root, "config", "--file=.gitmodules", "submodule.app/lib.ignore", "all")
    commit(root)
    assert find(root) == {}
    write_files(root, {"app/lib/a": "y"})
    assert find(root) == {"app/lib/a": "changed"}
    git(root / "app/lib", "commit", "--quiet", "--all", "--message=two")
    assert find(root) == {"app/lib/a": "changed"}


def test_a_submodule_that_is_not_fetched_is_named(root: Path) -> None:
    """Its files are neither in the image nor, then, is the image the commit's."""
    origin = write_files(root.parent / "origin", {"a": "x"})
    git(origin, "init", "--quiet")
    commit(origin)
    git(root, "submodule", "add", "--quiet", str(origin), "app/lib")
    commit(root)
    assert find_unfetched(root, [read(root)]) == []
    git(root, "clone", "--quiet", ".", "../other")
    other = root.parent / "other"
    (note,) = find_unfetched(other, [read(other)])
    assert note.startswith("app/lib is a submodule that is not fetched")
    assert find(other) == {"app/lib": "removed"}


def test_what_a_checkout_makes_of_a_file_is_the_commits(root: Path) -> None:
    """Git LFS and line ends of `.gitattributes`: every checkout of the commit has these bytes."""
    write_files(root, {".gitattributes": "*.up filter=up\n*.crlf eol=crlf\n", "app/a.up": "X\n"})
    git(root, "config", "filter.up.clean", "tr A-Z a-z")
    git(root, "config", "filter.up.smudge", "tr a-z A-Z")
    (root / "app/a.crlf").write_bytes(b"one\r\n")
    commit(root)
    assert find(root) == {}
    write_files(root, {"app/a.up": "Y\n", "app/a.crlf": "two\n"})
    assert find(root) == {"app/a.up": "changed", "app/a.crlf": "changed"}


def test_a_source_by_a_link_is_compared_where_it_lies(root: Path) -> None:
    """And so is the link."""
    write_files(root, {"src/new/a": "x"})
    (root / "app").rename(root / "src/app")
    (root / "app").symlink_to("src/app")
    commit(root)
    assert find(root) == {}
    write_files(root, {"src/app/a": "two\n"})
    assert find(root) == {"app/a": "changed"}
    (root / "app").unlink()
    (root / "app").symlink_to("src/new")
    assert find(root) == {"app": "changed"}


def test_names_are_shown_as_they_are_and_once(root: Path) -> None:
    """Git would quote them; a file that left the index is neither gone nor new."""
    write_files(root, {"app/ä.txt": "x", "app/two\nlines": "x"})
    git(root, "rm", "--quiet", "--cached", "app/a")
    assert find(root) == {"app/two\nlines": "added", "app/ä.txt": "added"}


def test_outside_of_git_nothing_is_known(tmp_path: Path) -> None:
    """Nor of a commit that a clone lacks, nor before the first commit."""
    inputs = read(write_files(tmp_path, FILES))
    assert find(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert find(tmp_path) is None
    assert find_changes(tmp_path, "1" * 40, inputs) is None


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    """Its ids are longer."""
    write_files(tmp_path, FILES)
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    commit(tmp_path)
    assert find(tmp_path) == {}
    write_files(tmp_path, {"app/a": "two\n"})
    assert find(tmp_path) == {"app/a": "changed"}


def test_the_variables_of_a_hook_have_no_part(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is that of the project's own repository."""
    other = write_files(tmp_path_factory.mktemp("other"), {"x": "x"})
    git(other, "init", "--quiet")
    commit(other)
    own = read_commit(root)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert read_commit(root) == own != read_commit(other)
