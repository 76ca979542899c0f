import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkout import write_files
from immutable_servers.errors import ImageError
from immutable_servers.identity import cache, files, read_manifest
from immutable_servers.identity.files import read_entries
from immutable_servers.system import places

OLD = 1_000_000_000
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as settled at once: change times cannot be set back."""
    monkeypatch.setattr(cache, "SETTLED_NS", -3_600_000_000_000)


def test_reads_content_mode_and_links(tmp_path: Path) -> None:
    """A file is its digest, an executable is marked, a link is its target, never followed."""
    write_files(tmp_path, {"a.txt": "hello", "bin/run": "hello"})
    (tmp_path / "bin/run").chmod(0o700)
    (tmp_path / "here").symlink_to("a.txt")
    (tmp_path / "folder").symlink_to("bin")
    (tmp_path / "gone").symlink_to("/nowhere")
    assert read_manifest(tmp_path) == {
        "a.txt": HELLO,
        "bin/run": f"x:{HELLO}",
        "folder": "link:bin",
        "gone": "link:/nowhere",
        "here": "link:a.txt",
    }


def test_other_permissions_and_empty_folders_do_not_count(tmp_path: Path) -> None:
    """What git does not keep does not count."""
    write_files(tmp_path, {"a.txt": "hello"}).joinpath("empty").mkdir()
    (tmp_path / "a.txt").chmod(0o600)
    assert read_manifest(tmp_path) == {"a.txt": HELLO}


def test_skips_by_name(tmp_path: Path) -> None:
    """A caller leaves out files by their path from the folder."""
    write_files(tmp_path, {"a": "x", "sub/a": "x"})
    assert list(read_manifest(tmp_path, skip={"a"}.__contains__)) == ["sub/a"]


def test_spells_any_name(tmp_path: Path) -> None:
    """Names that are no UTF-8, or look like their escape, stay apart and survive any store."""
    for name in (b"caf\xe9", b"caf\\xe9", "café".encode(), "cafe\u0301".encode(), b"a\nb"):
        (tmp_path / os.fsdecode(name)).write_text("hello")
    manifest = read_manifest(tmp_path)
    assert sorted(manifest) == sorted(["caf\\xe9", "caf\\\\xe9", "café", "cafe\u0301", "a\nb"])
    assert json.dumps(manifest, ensure_ascii=False).encode()


def test_reads_nothing_behind_a_link(tmp_path: Path) -> None:
    """A path that has become a link's is not the folder's any more, nor is one that is gone."""
    write_files(tmp_path, {"folder/a": "x", "outside/b": "x"})
    (tmp_path / "folder/link").symlink_to(tmp_path / "outside")
    paths = [b"a", b"link", b"link/b", b"gone", b"a/below", b"link/b/c"]
    assert [entry.path for entry in read_entries(tmp_path / "folder", paths)] == [b"a", b"link"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_refuses_what_is_no_file(tmp_path: Path, kind: str) -> None:
    """A pipe or a socket in the place of a file is named; beside the files git does not see it."""
    write_files(tmp_path, {"a": "x"})
    if kind == "pipe":
        os.mkfifo(tmp_path / "p")
    else:
        with socket.socket(socket.AF_UNIX) as listener, chdir(tmp_path):
            listener.bind("p")  # a socket's path must be short
    assert list(read_manifest(tmp_path)) == ["a"]
    with pytest.raises(ImageError, match=r"p is a socket, a device or a pipe(.|\n)*imageignore"):
        read_entries(tmp_path, [b"a", b"p"])


def test_a_source_stays_in_the_project(tmp_path: Path) -> None:
    """A folder that a link leads out to is refused, whatever is there."""
    write_files(tmp_path, {"project/x": "x", "outside/b": "x"})
    (tmp_path / "project/app").symlink_to("../outside")
    with pytest.raises(ImageError, match="leads out of the project by a link"):
        read_manifest(tmp_path / "project/app", root=tmp_path / "project")


NAMES = st.text(st.characters(blacklist_characters="/\0", codec="utf-8"), min_size=1, max_size=8)
TREES = st.dictionaries(
    NAMES.filter(lambda name: name not in {".", "..", ".git", ".gitignore", ".imageignore"}),
    st.tuples(st.binary(max_size=64), st.booleans(), st.integers(0, 2_000_000_000)),
    max_size=8,
)


@settings(max_examples=40)
@given(tree=TREES, folders=st.lists(st.sampled_from(["", "a/", "a/b/"]), min_size=8, max_size=8))
def test_place_order_and_times_do_not_count(
    tree: dict[str, tuple[bytes, bool, int]], folders: list[str]
) -> None:
    """Two checkouts with equal files have equal manifests, however they were written."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        items = [
            (f"{below}_{name}", *rest)
            for below, (name, rest) in zip(folders, tree.items(), strict=False)
        ]
        for top, chosen in ((Path(one), items), (Path(other) / "deeper", items[::-1])):
            top.mkdir(exist_ok=True)
            for path, content, executable, moment in chosen:
                file = top / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                file.chmod(0o755 if executable else 0o640)
                os.utime(file, (moment, moment + (top.name == "deeper")))
        assert read_manifest(Path(one)) == read_manifest(Path(other) / "deeper")


def test_locale_does_not_count(tmp_path: Path) -> None:
    """Another locale reads the same manifest in the same order."""
    write_files(tmp_path / "tree", {"ä": "x", "z": "x", "Z": "x", "é/x": "x"})
    code = (
        "import json, pathlib, sys; from immutable_servers.identity import read_manifest;"
        "print(json.dumps(read_manifest(pathlib.Path(sys.argv[1]))))"
    )
    found = []
    for locale, utf8 in (("C.UTF-8", "1"), ("C", "0")):
        environment = {
            **os.environ,
            "LC_ALL": locale,
            "PYTHONUTF8": utf8,
            "PYTHONCOERCECLOCALE": "0",
        }
        run = [sys.executable, "-c", code, str(tmp_path / "tree")]
        found.append(subprocess.run(run, env=environment, check=True, capture_output=True).stdout)
    assert found[0] == found[1]
    assert list(json.loads(found[0])) == ["Z", "z", "ä", "é/x"]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    read: list[bytes] = []
    real = files._digest_file

    def digest(file: bytes, size: int, start: files.Start) -> str:
        read.append(file)
        return real(file, size, start)

    monkeypatch.setattr(files, "_digest_file", digest)
    return read


def test_reads_again_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged file is not opened; a changed one is, equal size and time or not."""
    settle(monkeypatch)
    write_files(tmp_path, {"a": "one", "b": "two"})
    first = read_manifest(tmp_path)
    read = count_reads(monkeypatch)
    assert read_manifest(tmp_path) == first
    assert read == []
    before = (tmp_path / "a").stat()
    (tmp_path / "a").write_text("six")
    os.utime(tmp_path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_manifest(tmp_path)["a"] != first["a"]
    assert len(read) == 1


def test_a_file_changed_just_now_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could change again within one tick of the clock is read again."""
    write_files(tmp_path, {"a": "one"})
    os.utime(tmp_path / "a", (OLD, OLD))
    read_manifest(tmp_path)
    read = count_reads(monkeypatch)
    read_manifest(tmp_path)
    assert len(read) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"0" * 64 + b"\n{}", b"\xff\x00"])
def test_damaged_cache_is_ignored_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    """A cache that is not whole is as good as none."""
    settle(monkeypatch)
    write_files(tmp_path, {"a": "hello"})
    read_manifest(tmp_path)
    (file,) = (places.cache_dir() / "digests").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert read_manifest(tmp_path) == {"a": HELLO}
    assert file.read_bytes() == whole


def test_a_bit_that_flipped_in_the_cache_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is believed as a whole or not at all."""
    settle(monkeypatch)
    write_files(tmp_path, {"a": "hello"})
    read_manifest(tmp_path)
    (file,) = (places.cache_dir() / "digests").iterdir()
    file.write_bytes(file.read_bytes().replace(b"2cf24dba", b"2cf24dbb"))
    assert read_manifest(tmp_path) == {"a": HELLO}


def test_works_without_a_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be written costs time only."""
    settle(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(write_files(tmp_path, {"a": "hello"}) / "a"))
    assert read_manifest(tmp_path) == {"a": HELLO}


def test_copied_checkout_has_no_stale_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder at the same place is read anew."""
    settle(monkeypatch)
    write_files(tmp_path / "tree", {"a": "one"})
    os.utime(tmp_path / "tree/a", (OLD, OLD))
    first = read_manifest(tmp_path / "tree")
    shutil.rmtree(tmp_path / "tree")
    write_files(tmp_path / "tree", {"a": "two"})
    os.utime(tmp_path / "tree/a", (OLD, OLD))
    assert read_manifest(tmp_path / "tree") != first
