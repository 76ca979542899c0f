"""The set-up: what is found, what is fetched, what is listed, and what an interrupt leaves."""

import hashlib
import http.client
import io
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import (
    cache,
    debian,
    go,
    install,
    packer,
    pulumi,
    python,
    releases,
)
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.driver.setup.needs import (
    find_needs,
    list_asking_parts,
    list_parts,
    list_upstream_parts,
)
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.driver.terminal import console, words
from immutable_servers.errors import SetupError
from immutable_servers.targets import TARGETS

PINNED = {
    need.name: need.version
    for target in TARGETS
    for need in find_needs(target).acting
    if isinstance(need, PackerPlugin)
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's toolchain out of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PACKER_PLUGIN_PATH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def make_tool(folder: Path, name: str, prints: str) -> Path:
    """Write a command that prints a version."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {prints}\n")
    file.chmod(0o755)
    return file


def test_the_pinned_versions_are_those_of_the_go_modules() -> None:
    """`versions.py`, the Go modules and the SDK's requirement name the same versions."""
    modules = CHECKOUT / "toolchain" / "go"
    for folder, module, version in (
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", pinned.PULUMI),
        ("pulumi", "github.com/pulumi/pulumi/sdk/v3", pinned.PULUMI),
        ("packer", "github.com/hashicorp/packer", pinned.PACKER),
        (
            "packer-plugin-amazon",
            "github.com/hashicorp/packer-plugin-amazon",
            PINNED["amazon"],
        ),
        ("packer-plugin-qemu", "github.com/hashicorp/packer-plugin-qemu", PINNED["qemu"]),
    ):
        assert f"{module} v{version} " in (modules / folder / "go.mod").read_text()
    assert f"pulumi=={pinned.PULUMI} " in (CHECKOUT / "requirements.in").read_text()
    tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


@pytest.mark.parametrize(
    ("said", "found"),
    [("v3.250.0", True), ("v3.249.9", False), ("v4.0.1", True), ("nonsense", False)],
)
def test_the_machine_s_own_tool_counts_when_new_enough(
    tmp_path: Path, said: str, *, found: bool
) -> None:
    """Pulumi 3.250 or later on the PATH is taken, an older or a strange one is not."""
    tool = make_tool(tmp_path / "bin", "pulumi", said)
    there = pulumi.find_pulumi()
    assert (there is not None) is found
    if there:
        assert there == Found(said.removeprefix("v"), str(tool))


def test_a_newer_tool_behind_an_older_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PATH is searched to its end."""
    make_tool(tmp_path / "bin", "packer", "Packer v1.9.0")
    newer = make_tool(tmp_path / "newer", "packer", "Packer v1.11.2")
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path / "bin"), str(tmp_path / "newer"))))
    assert packer.TOOL.find() == Found("1.11.2", str(newer))


def test_a_tool_is_asked_for_its_version_once(tmp_path: Path) -> None:
    """A second start does not run the tools, until one of their files changes."""
    tool = make_tool(tmp_path / "bin", "pulumi", f"v3.300.0; echo >> {tmp_path / 'asked'}")
    for _ in range(2):
        assert pulumi.find_pulumi() == Found("3.300.0", str(tool))
    assert (tmp_path / "asked").read_text() == "\n"
    make_tool(tmp_path / "bin", "pulumi", "v3.301.10")
    assert pulumi.find_pulumi() == Found("3.301.10", str(tool))


def test_our_own_tools_in_the_cache_are_not_taken_for_the_machine_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `./immutable env` in the shell, the PATH names our cache; that changes nothing."""
    folder = cache.toolchain_dir() / "pulumi-1.0"
    make_tool(folder, "pulumi", "v3.999.0")
    monkeypatch.setenv("PATH", os.pathsep.join((str(folder), str(tmp_path / "bin"))))
    assert pulumi.find_pulumi() is None


def test_the_language_host_beside_the_machine_s_pulumi_is_used(tmp_path: Path) -> None:
    """An official installation brings its own host, and then ours is not used."""
    make_tool(tmp_path / "bin", "pulumi", "v3.260.0")
    assert pulumi.find_host() is None
    host = make_tool(tmp_path / "bin", pulumi.HOST, "")
    assert pulumi.find_host() == Found("official", str(host))


def test_our_host_our_scripts_and_our_pulumi_lie_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine warns of plugins that do not lie beside its own file."""
    make_tool(cache.toolchain_dir() / f"pulumi-{pinned.PULUMI}", "pulumi", "")
    sdk = tmp_path / "sdk"
    for script in pulumi.SCRIPTS:
        make_tool((sdk / script).parent, Path(script).name, "")
    monkeypatch.setattr(go, "find_module_folder", lambda *_: sdk)
    pulumi.install_host(lambda _line: None)
    found, host = pulumi.find_pulumi(), pulumi.find_host()
    assert found
    assert host
    assert Path(found.place).parent == Path(host.place).parent
    assert host.version == "ours"
    names = {file.name for file in Path(host.place).parent.iterdir()}
    assert names == {"pulumi", pulumi.HOST, *(Path(script).name for script in pulumi.SCRIPTS)}
    assert os.access(host.place, os.X_OK)


def test_a_plugin_without_its_checksum_is_not_there(tmp_path: Path) -> None:
    """Packer writes the checksum last, so an interrupted installation does not count."""
    folder = tmp_path / "cache/immutable-servers/packer-plugins/github.com/hashicorp/qemu"
    binary = make_tool(folder, "packer-plugin-qemu_v1.0.9_x5.0_linux_amd64", "")
    assert packer.find_plugin("qemu") is None
    binary.with_name(f"{binary.name}_SHA256SUM").touch()
    assert packer.find_plugin("qemu") == Found("1.0.9", str(binary))


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """An installation that fails leaves nothing; one that was killed is cleaned away."""
    place = cache.toolchain_dir() / "tool-1"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise SetupError("It broke")

    with pytest.raises(SetupError), cache.start_folder(place) as folder:
        fail(folder)
    assert list(cache.toolchain_dir().iterdir()) == []
    left = cache.toolchain_dir() / f"{cache.TEMPORARY}killed"
    left.mkdir()
    with cache.start_lock(lambda _line: None):
        assert not left.exists()
    with cache.start_folder(place) as folder:
        (folder / "whole").touch()
    assert (place / "whole").exists()
    assert tmp_path in place.parents


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Answer downloads from a table; what is not in it cannot be reached."""

    def answer(url: str, timeout: float) -> io.BytesIO:
        assert url.startswith("https://")
        assert timeout > 0
        if url not in files:
            raise OSError("no route to host")
        return io.BytesIO(files[url])

    monkeypatch.setattr("urllib.request.urlopen", answer)


def pack_tar(name: str) -> bytes:
    """Return an archive with one file in a folder, as Pulumi's maker packs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"pulumi/{name}")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"tool"))
    return packed.getvalue()


def pack_zip(name: str) -> bytes:
    """Return an archive with one file, as Packer's maker packs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"tool")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("find", "pack", "name"),
    [
        (releases.find_pulumi_release, pack_tar, "pulumi"),
        (releases.find_packer_release, pack_zip, "packer"),
    ],
)
def test_an_official_release_is_checked_and_unpacked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    find: Callable[[], releases.Release],
    pack: Callable[[str], bytes],
    name: str,
) -> None:
    """What has the published sum is unpacked with its tool executable at the top."""
    release, content = find(), pack(name)
    sums = f"{hashlib.sha256(content).hexdigest()}  {release.file}\n"
    serve(monkeypatch, {release.archive: content, release.sums: sums.encode()})
    releases.fetch_release(release, tmp_path, lambda _line: None)
    assert (tmp_path / name).read_bytes() == b"tool"
    assert os.access(tmp_path / name, os.X_OK)
    assert not (tmp_path / release.file).exists()


def test_a_release_with_another_sum_stops_the_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed download is an error, and no reason to take another way."""
    release = releases.find_packer_release()
    sums = f"{'0' * 64}  {release.file}\n".encode()
    serve(monkeypatch, {release.archive: pack_zip("packer"), release.sums: sums})
    with pytest.raises(SetupError, match="another checksum"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert not (tmp_path / "packer").exists()


def test_an_unreachable_maker_leads_to_a_build_that_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No release, so the Go module is built, with the version the Automation API reads."""
    serve(monkeypatch, {})
    built: list[tuple[str, str]] = []

    def build(module: str, _package: str, out: Path, _say: object, linking: str = "") -> None:
        built.append((module, linking))
        out.write_text("tool")

    monkeypatch.setattr(go, "build", build)
    said: list[str] = []
    pulumi.CLI.install(said.append)
    packer.TOOL.install(said.append)
    assert [module for module, _ in built] == ["pulumi", "packer"]
    assert built[0][1].endswith(f"version.Version=v{pinned.PULUMI}")
    assert all("no route to host" in line and "Go module" in line for line in said)
    assert packer.TOOL.find()


def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not served, so that the tool is built, without half an archive beside it."""

    class Breaking(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise http.client.IncompleteRead(b"half")

    release = releases.find_packer_release()
    sums = io.BytesIO(f"{'0' * 64}  {release.file}\n".encode())
    answers = {release.sums: sums, release.archive: Breaking()}
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: answers[url])  # noqa: ARG005 - as it is called
    with pytest.raises(releases.NotServedError, match="IncompleteRead"):
        releases.fetch_release(release, tmp_path, lambda _line: None)
    assert not (tmp_path / release.file).exists()


def test_a_list_without_the_archive_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that a proxy puts in place of the sums is no list of sums."""
    release = releases.find_packer_release()
    serve(monkeypatch, {release.sums: b"<html>please log in</html>"})
    with pytest.raises(releases.NotServedError, match="does not list"):
        releases.fetch_release(release, tmp_path, lambda _line: None)


def make_part(name: str, done: list[str], package: str = "") -> Part:
    """Return a part that is missing until it is installed."""

    def put(_say: object) -> None:
        done.append(name)

    return Part(
        name=name,
        size="3 MB",
        seconds=90,
        find=lambda: Found("1", f"/{name}") if name in done else None,
        fix=f"get {name}",
        install=None if package else put,
        package=package,
    )


def test_what_is_missing_is_listed_first_and_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Size and time come before the first installation; packages go to apt together."""
    done: list[str] = ["there"]
    asked: list[list[str]] = []

    def apt(names: list[str], _say: object) -> None:
        asked.append(list(names))
        done.extend(names)

    monkeypatch.setattr(install, "install_packages", apt)
    parts = [
        make_part("there", done),
        make_part("tool", done),
        make_part("one", done, "one"),
        make_part("two", done, "two"),
    ]
    install.install_missing(parts, yes=False)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("Missing")
    assert [line.split()[0] for line in said[1:4]] == ["tool", "one", "two"]
    assert re.search(r"3 MB +up to 1 min 30 s", said[1])
    assert asked == [["one", "two"]]
    assert set(done) == {"there", "tool", "one", "two"}
    install.install_missing(parts, yes=False)
    assert capsys.readouterr().err == ""


def test_a_no_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal it waits for a yes; a no ends with how to do it by hand."""
    done: list[str] = []
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr(console, "ask", lambda _question: False)
    with pytest.raises(SetupError, match="get tool"):
        install.install_missing([make_part("tool", done)], yes=False)
    assert done == []


def test_without_rights_the_one_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not install gets one line to type, with all packages in it."""
    monkeypatch.setattr(debian, "find_rights", lambda: None)
    with pytest.raises(SetupError) as raised:
        debian.install_packages(["haproxy", "mmdebstrap"], lambda _line: None)
    assert raised.value.todo.endswith("sudo apt-get install --yes haproxy mmdebstrap")


def test_commands_in_the_system_s_folders_are_found(tmp_path: Path) -> None:
    """A user's PATH on Debian does not name the folder of haproxy."""
    assert str(tmp_path) in os.environ["PATH"]
    assert debian.find_command("no-such-command") is None
    assert debian.SYSTEM_FOLDERS == ("/usr/sbin", "/sbin")


def test_only_root_needs_no_uidmap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mmdebstrap maps user ids where it does not run as root."""
    for user, needs in ((0, False), (1000, True)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        names = {part.name for part in list_parts("local", acts=True)}
        assert ("uidmap" in names) is needs
        assert "mmdebstrap" in names


def test_the_local_target_acts_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere `up` on local is refused, and previews and clouds go on."""
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(SetupError, match="Linux only"):
        list_parts("local", acts=True)
    names = {part.name for part in list_parts("local", acts=False)}
    assert names < {part.name for part in list_parts("aws", acts=True)}


def test_a_run_is_asked_for_no_more_than_it_needs() -> None:
    """Asking a cloud takes its SDK; looking for upstreams takes neither engine nor machines."""

    def name(parts: Sequence[Part]) -> list[str]:
        return [part.name for part in parts]

    engine = ["pulumi", "python language host"]
    assert name(list_asking_parts("local")) == engine
    assert name(list_asking_parts("aws")) == [*engine, "python packages aws"]
    assert name(list_upstream_parts("aws")) == ["python packages aws"]
    archive = name(list_upstream_parts("local"))
    assert archive[:2] == ["mmdebstrap", "debian-archive-keyring"]
    assert set(archive) <= set(name(list_parts("local", acts=True)))
    assert list_upstream_parts("elsewhere") == ()


def test_the_parts_have_names_of_their_own() -> None:
    """Each part of the local target is listed once."""
    names = [part.name for part in list_parts("local", acts=True)]
    assert len(names) == len(set(names))


def test_packages_of_a_target_are_found_by_their_versions(tmp_path: Path) -> None:
    """All at the lock's versions are there; one that is missing or another version is not."""
    lock = tmp_path / "requirements-aws.lock"
    there = f"pytest=={metadata.version('pytest')} \\\n    --hash=sha256:0\n"
    lock.write_text(there)
    assert python.find_packages(lock) == Found("", sys.prefix)
    lock.write_text(there + "no-such-package==1.0 \\\n    --hash=sha256:0\n")
    assert python.find_packages(lock) is None
    lock.write_text("pytest==0.1\n")
    assert python.find_packages(lock) is None


def test_packages_that_cannot_be_installed_are_said(tmp_path: Path) -> None:
    """The error says what pip said."""
    lock = tmp_path / "requirements-aws.lock"
    lock.write_text("no hash at all\n")
    with pytest.raises(SetupError, match=r"requirements-aws\.lock"):
        python.install_packages(lock, lambda _line: None)


def test_only_a_stack_on_aws_needs_its_packages() -> None:
    """A stack on another target is asked for neither the SDK nor the plugin."""
    names = {part.name for part in list_parts("aws", acts=True)}
    assert {"python packages aws", "packer plugin amazon"} <= names
    assert not {part.name for part in list_parts("local", acts=False)} & {
        "python packages aws",
        "packer plugin amazon",
    }


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.7, "1 min 0 s"), (119.6, "2 min 0 s"), (82.2, "1 min 22 s")],
)
def test_a_span_of_time_has_no_minute_of_60_seconds(seconds: float, said: str) -> None:
    """It is rounded as a whole."""
    assert words.render_seconds(seconds) == said
