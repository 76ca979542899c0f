"""Which files count: git's own answer, with a repository and without."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.checkout import write_files
from immutable_servers.errors import ImageError, SetupError
from immutable_servers.identity import listing, read_manifest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    """Run git as somebody."""
    who = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def find(root: Path, folder: str = "app") -> list[str]:
    return sorted(read_manifest(root / folder, root=root))


def test_git_and_ignored_files_do_not_count(tmp_path: Path) -> None:
    """Ignore files of the root, of nested folders and of both kinds are honoured."""
    write_files(
        tmp_path,
        {
            ".gitignore": "*.log\n/app/cache/\n# comment\n\n",
            ".imageignore": "docs/\n",
            "app/.git/HEAD": "x",
            "app/.gitignore": "!keep.log\n/top\n",
            "app/.imageignore": "tests\n",
            "app/a.log": "x",
            "app/keep.log": "x",
            "app/cache/x": "x",
            "app/docs/x": "x",
            "app/tests/x": "x",
            "app/top": "x",
            "app/sub/top": "x",
            "app/main.py": "x",
        },
    )
    assert sorted(read_manifest(tmp_path / "app", root=tmp_path)) == [
        ".gitignore",
        ".imageignore",
        "keep.log",
        "main.py",
        "sub/top",
    ]


def test_imageignore_takes_back_nothing_that_git_ignores(tmp_path: Path) -> None:
    """A file that no checkout has cannot count in a version."""
    write_files(tmp_path, {".gitignore": "*.o\n", ".imageignore": "!a.o\n", "a.o": "x", "a.c": "x"})
    assert "a.o" not in read_manifest(tmp_path)


@pytest.mark.parametrize("is_repository", [True, False])
@pytest.mark.parametrize(
    ("rules", "counts"),
    [
        ("*\n!*/\n!*.py\n", ["a.py", "sub/b.py"]),
        ("*.log\n!important/\n", ["a.py", "sub/b.py", "sub/b.txt"]),
        ("*.txt\n!sub/\n", ["a.log", "a.py", "important/x.log", "sub/b.py"]),
        ("\ufeffsub/\n", ["a.log", "a.py", "important/x.log"]),
        ("!\n\\\n[a-\n**/sub/**\n", ["a.log", "a.py", "important/x.log"]),
    ],
    ids=["allow-list", "folder-taken-back", "folder-taken-back-2", "byte-order-mark", "odd"],
)
def test_patterns_are_read_by_git(
    tmp_path: Path, rules: str, counts: list[str], *, is_repository: bool
) -> None:
    """An allow-list, a folder that is taken back, a byte order mark; no pattern is refused."""
    if is_repository:
        git(tmp_path, "init", "--quiet")
    names = ("a.py", "a.log", "important/x.log", "sub/b.py", "sub/b.txt")
    write_files(tmp_path / "app", dict.fromkeys(names, "x"))
    for file in (".gitignore", ".imageignore"):
        write_files(tmp_path, {file: rules})
        assert find(tmp_path) == counts
        (tmp_path / file).unlink()


@pytest.mark.parametrize("file", [".gitignore", ".imageignore"])
@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*ab", "a**b**c*d", "**/a/**/b/**/c", "*" * 999])
def test_a_pattern_of_many_stars_stops_no_run(tmp_path: Path, file: str, pattern: str) -> None:
    """Git reads it at once; no time is asserted."""
    name = f"{'a/' * 40}{'a' * 60}"
    write_files(tmp_path, {file: f"{pattern}\n", name: ""})
    assert len(read_manifest(tmp_path)) == (0 if pattern.endswith("**") else 2)


def test_what_git_tracks_counts_below_an_ignored_folder(repository: Path) -> None:
    """`git add -f` is a word of git's too; `.imageignore` has the last one."""
    write_files(repository, {".gitignore": "vendor/\n", "app/a": "x"})
    write_files(repository, {"app/vendor/b": "x", "app/vendor/c": "x", "app/vendor/d": "x"})
    git(repository, "add", "--force", "app/vendor/b", "app/vendor/c")
    write_files(repository, {".imageignore": "c\n"})
    assert find(repository) == ["a", "vendor/b"]


def test_a_source_may_be_a_link_in_the_project(repository: Path) -> None:
    """The rules for where the files lie hold."""
    write_files(repository, {".gitignore": "/src/app/local.env\n", ".imageignore": "/src/app/x\n"})
    write_files(repository, {"src/app/a": "x", "src/app/local.env": "x", "src/app/x": "x"})
    (repository / "app").symlink_to("src/app")
    assert find(repository) == ["a"]


def test_what_is_gone_or_replaced_does_not_count(repository: Path) -> None:
    """Git's index may still name it."""
    write_files(
        repository, {"app/gone": "x", "app/folder/a": "x", "app/file": "x", "app/linked/a": "x"}
    )
    git(repository, "add", ".")
    (repository / "app/gone").unlink()
    (repository / "app/folder/a").unlink()
    (repository / "app/folder").rmdir()
    (repository / "app/folder").write_text("x")
    (repository / "app/linked").rename(repository / "elsewhere")
    (repository / "app/linked").symlink_to("../elsewhere")
    (repository / "app/file").unlink()
    write_files(repository, {"app/file/b": "x"})
    assert find(repository) == ["file/b", "folder", "linked"]


def test_repositories_in_a_source_are_read_by_their_own_rules(repository: Path) -> None:
    """A submodule's, and an unknown one's; the project's `.imageignore` holds there too."""
    origin = write_files(repository / "origin", {".gitignore": "*.o\n", "a.c": "x", "tests/t": "x"})
    git(origin, "init", "--quiet")
    git(origin, "add", ".")
    git(origin, "commit", "--quiet", "--message=one")
    add = ("submodule", "add", "--quiet", "./origin", "app/lib")
    git(repository, "-c", "protocol.file.allow=always", *add)
    git(repository / "app", "clone", "--quiet", "../origin", "own")
    write_files(
        repository, {"app/lib/x.o": "x", "app/lib/new": "x", ".imageignore": "app/*/tests/\n"}
    )
    files = [".gitignore", "a.c"]
    assert find(repository) == [f"lib/{n}" for n in (*files, "new")] + [f"own/{n}" for n in files]


def test_settings_of_one_machine_do_not_count(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a user's excludes, nor the clone's, nor how git folds case."""
    home = write_files(tmp_path_factory.mktemp("home"), {"excludes": "*.one\n"})
    write_files(
        home, {"config": f"[core]\n\texcludesFile = {home}/excludes\n\tignoreCase = true\n"}
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "config"))
    write_files(repository, {".git/info/exclude": "*.two\n", ".gitignore": "c\n"})
    write_files(repository, {"app/a.one": "x", "app/b.two": "x", "app/C": "x", "app/c": "x"})
    assert find(repository) == ["C", "a.one", "b.two"]


def test_the_variables_of_a_hook_have_no_part(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git sets them to another repository for what its hooks start."""
    other = write_files(tmp_path_factory.mktemp("other"), {".gitignore": "*\n", "x": "x"})
    git(other, "init", "--quiet")
    git(other, "add", "--force", "x")
    write_files(repository, {"app/a": "x"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_PREFIX", "sub/")
    assert find(repository) == ["a"]


@pytest.mark.parametrize("quoted", ["true", "false"])
def test_names_may_be_any_bytes(repository: Path, quoted: str) -> None:
    """However git would quote them."""
    git(repository, "config", "core.quotePath", quoted)
    names = [
        b"caf\xe9.txt",
        "ä.txt".encode(),
        b"two\nlines",
        b'"',
        b"a\\b",
        b" ",
        b"\t",
        b":(top)x",
    ]
    (repository / "app").mkdir()
    for name in names:
        (repository / "app" / os.fsdecode(name)).touch()
    assert listing.list_files(repository / "app", repository) == sorted(names)


def test_a_project_that_another_repository_ignores(repository: Path) -> None:
    """A repository of a home folder has no part in what is unpacked below it."""
    write_files(repository, {".gitignore": "*\n", "home/project/.gitignore": "*.o\n"})
    write_files(repository, {"home/project/app/a": "x", "home/project/app/a.o": "x"})
    assert find(repository / "home/project") == ["a"]


@pytest.mark.parametrize(
    ("levels", "name", "said"),
    [
        (1200, "d", "1200 folders"),
        (300, "d", "300 folders"),
        (20, "d" * 200, "a path of 4024 bytes"),
        (30, "d" * 200, "could not open directory .* more characters"),
    ],
)
def test_a_path_that_is_too_long_is_refused(
    tmp_path: Path, levels: int, name: str, said: str
) -> None:
    """A copy, a server and this program's own clean-up could not hold it."""
    app = tmp_path / "app"
    app.mkdir()
    number = os.open(app, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=number)
        below = os.open(name, os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=number))
    os.close(number)
    try:
        with pytest.raises(ImageError, match=rf"{said}(.|\n)*What to do") as found:
            read_manifest(app, root=tmp_path)
        assert len(str(found.value)) < 600
    finally:
        subprocess.run(["rm", "-rf", app], check=True)


def test_what_git_cannot_read_is_named(tmp_path: Path) -> None:
    """A folder that git leaves out with a warning, and a repository that is broken."""
    write_files(tmp_path, {"app/a": "x", "app/lib/.git": "gitdir: nowhere\n", "app/lib/b": "x"})
    git(tmp_path, "init", "--quiet")
    write_files(tmp_path, {".git/index": "broken"})
    with pytest.raises(ImageError, match=r"cannot be listed(.|\n)*index file"):
        read_manifest(tmp_path / "app", root=tmp_path)


def test_without_git_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is guessed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"`git` could not be started(.|\n)*apt-get install git"):
        read_manifest(tmp_path)
