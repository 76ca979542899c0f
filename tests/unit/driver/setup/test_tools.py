"""Which tool counts: the machine's own, ours in the cache, and what lies beside it."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.driver.setup import (
    cache,
    go,
    intact,
    packer,
    pulumi,
)
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.driver.setup.parts import Found


def make_tool(folder: Path, name: str, prints: str) -> Path:
    """Write a command that prints a version."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {prints}\n")
    file.chmod(0o755)
    return file


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
    script = make_tool((sdk / pulumi.SCRIPT).parent, Path(pulumi.SCRIPT).name, "")
    monkeypatch.setattr(go, "find_module_folder", lambda *_: sdk)
    pulumi.install_host(lambda _line: None)
    found, host = pulumi.find_pulumi(), pulumi.find_host()
    assert found
    assert host
    assert Path(found.place).parent == Path(host.place).parent
    assert host.version == "ours"
    names = {file.name for file in Path(host.place).parent.iterdir()}
    assert names == {"pulumi", script.name, *pulumi.OWN_FILES, intact.RECORD}
    assert os.access(host.place, os.X_OK)


def test_a_new_host_takes_the_script_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Go is needed for it, when it is the pinned one; another one is not taken."""
    make_tool(cache.toolchain_dir() / f"pulumi-{pinned.PULUMI}", "pulumi", "")
    earlier = cache.toolchain_dir() / f"pulumi-{pinned.PULUMI}-python-0"
    script = make_tool(earlier, Path(pulumi.SCRIPT).name, "earlier")
    fetched = make_tool((tmp_path / "sdk" / pulumi.SCRIPT).parent, script.name, "fetched")
    monkeypatch.setattr(go, "find_module_folder", lambda *_: tmp_path / "sdk")
    content = script.read_bytes()
    monkeypatch.setattr(pinned, "PULUMI_SCRIPT", hashlib.sha256(content).hexdigest())
    for wanted in (content, fetched.read_bytes()):
        pulumi.install_host(lambda _line: None)
        host = pulumi.find_host()
        assert host
        assert Path(host.place).with_name(script.name).read_bytes() == wanted
        shutil.rmtree(Path(host.place).parent)
        script.write_text("planted")


@pytest.mark.parametrize("owner", ["hashicorp", "digitalocean"])
def test_a_plugin_without_its_checksum_is_not_there(tmp_path: Path, owner: str) -> None:
    """Packer writes the checksum last, so an interrupted installation does not count.

    One of the same name by another owner does not count either.
    """
    plugin = PackerPlugin("some", "1.0.9", owner)
    folder = tmp_path / "cache/immutable-servers/packer-plugins/github.com" / owner / "some"
    binary = make_tool(folder, "packer-plugin-some_v1.0.9_x5.0_linux_amd64", "")
    assert packer.find_plugin(plugin) is None
    binary.with_name(f"{binary.name}_SHA256SUM").touch()
    assert packer.find_plugin(plugin) == Found("1.0.9", str(binary))
    assert packer.find_plugin(PackerPlugin("some", "1.0.9", "another")) is None
