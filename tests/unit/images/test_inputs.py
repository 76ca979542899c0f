"""What is hashed is what a guest unpacks: trees of odd names, modes, links and patterns."""

import errno
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from harness.checkout import ROOT
from immutable_servers.errors import ImageError
from immutable_servers.identity.files import digest_entries, read_entries, read_manifest, spell
from immutable_servers.images.archive import ARCHIVE
from immutable_servers.images.staging import stage_image
from immutable_servers.settings import ImageSettings
from immutable_servers.targets.local import LocalTarget

TREES = int(os.environ.get("IMMUTABLE_TREES", "60"))
(UNPACK,) = (
    line
    for line in (ROOT / "tests/local/sample/packer/app/provision.sh").read_text().splitlines()
    if line.startswith("tar ")
)
"""The command that a guest runs."""
IGNORES = (b".gitignore", b".imageignore")
NAMES = st.one_of(
    st.sampled_from(
        [
            *(b"a", b"b.py", b"c.log", b"tests", b"*", b"[x]", b"#c", b"!n", b":z", b"-rf", b"~"),
            *(b" lead", b"trail ", b"two\nlines", b"$HOME", b'"q"', b"a\\b", b"\\", b"x\t", b"1"),
            *(b"caf\xe9", "ä".encode(), "a\u0308".encode(), b"git~1", b".GIT", b"x" * 255),
        ]
    ),
    st.binary(min_size=1, max_size=4).filter(
        lambda name: not {*name} & {0, ord("/")} and name not in (b".", b"..", *IGNORES)
    ),
)
PATTERNS = st.one_of(
    st.sampled_from(
        [
            *(b"*", b"!*/", b"!*.py", b"*.log", b"!a", b"a/", b"/a", b"tests/", b"**/a", b"a/**"),
            *(b"x[[:digit:]]", b"[!a]", b"?", b" lead", b"trail ", b"x\t", b"#c", b"\\#c", b"!"),
            *(b"\\", b"x[", b"a**/b", b"*a*a*a*a*a*a*b", b"!.gitignore", b"\r", b"/", b"**"),
        ]
    ),
    NAMES,
    st.tuples(NAMES, NAMES).map(b"/".join),
)
RULES = st.tuples(st.booleans(), st.lists(PATTERNS, max_size=4)).map(
    lambda drawn: (b"\xef\xbb\xbf" if drawn[0] else b"") + b"\n".join(drawn[1])
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""A file, or a link to what no folder is called."""
LINKS = st.sampled_from([b"/etc/hostname", b"/nowhere", b".", b"..", b"a", b"../a", b"l" * 300])


@dataclass(frozen=True)
class Drawn:
    """One source.

    Attributes:
        files: Path to content and executable bit.
        links: Path to target.
        rules: Ignore files by path.
        forced: Whether one file is git's even if it is ignored.
    """

    files: Mapping[bytes, tuple[bytes, bool]]
    links: Mapping[bytes, bytes]
    rules: Mapping[bytes, bytes]
    forced: bool = False

    def write(self, top: Path) -> None:
        """Write what has a place: what is drawn as a file may be another one's folder."""
        rules = {path: (text, False) for path, text in self.rules.items()}
        for path, (content, executable) in {**self.files, **rules}.items():
            if place := find_place(top, path):
                place.write_bytes(content)
                place.chmod(0o700 if executable else 0o640)
        for path, target in self.links.items():
            if place := find_place(top, path):
                place.symlink_to(os.fsdecode(target))


def find_place(top: Path, path: bytes) -> Path | None:
    """Return a place where nothing is yet, in a folder; None when something is in its way."""
    place = top / os.fsdecode(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return None if os.path.lexists(place) else place
    except OSError as error:
        if error.errno not in IN_THE_WAY:
            raise
        return None


ALLOWED = {b"a.py": (b"", False), b"sub/b.py": (b"", True), b"sub/b.txt": (b"", False)}
DRAWN = st.builds(
    Drawn,
    st.dictionaries(PATHS, st.tuples(st.binary(max_size=3), st.booleans()), max_size=6),
    st.dictionaries(PATHS, LINKS, max_size=3),
    st.dictionaries(
        st.tuples(st.sampled_from([b"", b"a/", b"tests/"]), st.sampled_from(IGNORES)).map(b"".join),
        RULES,
        max_size=3,
    ),
    st.booleans(),
)


@settings(max_examples=TREES)
@example(Drawn(ALLOWED, {}, {b".gitignore": b"*\n!*/\n!*.py\n"}))
@example(Drawn(ALLOWED, {b"a": b"l" * 300, b"a/b": b"a"}, {}))
@given(DRAWN)
def test_what_is_hashed_is_gits_and_is_what_a_guest_unpacks(drawn: Drawn) -> None:
    """The files that count are those of `git ls-files`; all arrive as they are, and no other."""
    with tempfile.TemporaryDirectory() as scratch:
        root = make_project(Path(scratch))
        drawn.write(root / "app")
        wanted = ask_git(root, forced=drawn.forced)
        event(f"files that count: {min(len(wanted), 4)}")
        hashed = read_manifest(root / "app", root=root)
        assert {*hashed} == {spell(path) for path in wanted}
        if not drawn.forced:
            (root / ".git").rename(root / "no-repository")
            assert read_manifest(root / "app", root=root) == hashed
        if not wanted:
            return
        assert stage(root) == hashed
        unpacked = unpack(root / "staged" / ARCHIVE, root / "guest") / "sources" / "app"
        before, after = read_tree(root / "app"), read_tree(unpacked)
        assert after == {path: before[path] for path in wanted}
        assert digest_entries(unpacked, read_entries(unpacked, sorted(wanted))) == hashed


def make_project(root: Path) -> Path:
    """Make a project without a single file, and an empty repository around it."""
    for folder in ("app", "packer/app", ".git/objects", ".git/refs"):
        (root / folder).mkdir(parents=True)
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    return root


def stage(root: Path) -> Mapping[str, str]:
    """Stage the image app with its source, and return the source's manifest."""
    chosen = ImageSettings(parent="base", sources=("app",))
    inputs = stage_image(root, chosen, "app", LocalTarget({}), None, root / "staged")
    return inputs.sources["app"]


def ask_git(root: Path, *, forced: bool) -> set[bytes]:
    """Return git's own answer for the source; for `.imageignore` as if it were the only rules."""
    if forced:
        run_git(root, "add", "--force", "a", check=False)
    listed = run_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    words = ("ls-files", "-z", "--others", "--exclude-per-directory=.imageignore")
    return {*listed} & {*run_git(root, *words, GIT_INDEX_FILE=str(root / "none"))} - {b""}


def run_git(root: Path, *words: str, check: bool = True, **more: str) -> list[bytes]:
    """Run git in the source, and return the paths that it prints."""
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=", *words],
        cwd=root / "app",
        env={**os.environ, **more},
        capture_output=True,
        check=check,
    )
    return done.stdout.split(b"\0")


def unpack(archive: Path, guest: Path) -> Path:
    """Run the guest's command on this machine, in another folder than the guest's."""
    guest.mkdir()
    shutil.copy(archive, guest / ARCHIVE)
    command = UNPACK.replace("/var/tmp", shlex.quote(str(guest)))  # noqa: S108 - the guest's
    subprocess.run(["sh", "-euc", command], check=True)
    return guest


def read_tree(top: Path) -> dict[bytes, tuple[bool, bytes]]:
    """Return each file's executable bit and content, and each link's target."""
    found: dict[bytes, tuple[bool, bytes]] = {}
    for place in top.rglob("*"):
        path = os.fsencode(place.relative_to(top))
        if place.is_symlink():
            found[path] = (False, b"link:" + os.fsencode(place.readlink()))
        elif place.is_file():
            found[path] = (bool(place.stat().st_mode & stat.S_IXUSR), place.read_bytes())
    return found


def test_an_image_without_files_has_an_archive(tmp_path: Path) -> None:
    """Its `files/` is an empty folder in the guest, so the shipped script works without one."""
    root = make_project(tmp_path)
    (root / "app/a").touch()
    stage(root)
    guest = unpack(root / "staged" / ARCHIVE, root / "guest")
    assert [*(guest / "files").iterdir()] == []
    assert (guest / "sources/app/a").exists()


def test_equal_inputs_make_equal_archives(tmp_path: Path) -> None:
    """Neither times, nor an owner, nor the place count."""
    made = []
    for name, moment in (("one", 1), ("other", 1_000_000_000)):
        root = make_project(tmp_path / name)
        for path in ("packer/app/files/etc/motd", "app/sub/a"):
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text("x")
            os.utime(root / path, (moment, moment))
        stage(root)
        made.append((root / "staged" / ARCHIVE).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("name", "to", "refused"),
    [
        ("key.sh", "/etc/hostname", True),
        ("key.sh", "../../app/a", True),
        ("key.sh", "files/host", True),
        ("files", "../../app", True),
        ("key.sh", "clean.sh", False),
        ("files/link", "/etc/hostname", False),
    ],
)
def test_no_link_of_a_template_leads_out_of_it(
    tmp_path: Path, name: str, to: str, *, refused: bool
) -> None:
    """Packer follows links of a template; in `files/` they stay links, wherever they lead."""
    root = make_project(tmp_path)
    template = root / "packer/app"
    (root / "app/a").touch()
    (template / "clean.sh").touch()
    if name != "files":
        (template / "files").mkdir()
        (template / "files/host").symlink_to("/etc/hostname")
    (template / name).symlink_to(to)
    with (
        pytest.raises(ImageError, match=rf"packer/app/{name} leads out of its folder")
        if refused
        else nullcontext()
    ):
        stage(root)


@pytest.mark.sample
@pytest.mark.parametrize("image", ["base", "app"])
def test_the_shipped_scripts_unpack_it_so(image: str) -> None:
    """What was tried above is what they run."""
    assert UNPACK in (ROOT / "packer" / image / "provision.sh").read_text().splitlines()
