"""Packer, and its plugins."""

import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import go, releases, versions
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.driver.setup.tools import Tool
from immutable_servers.errors import SetupError
from immutable_servers.system import places
from immutable_servers.system.environment import make_setup_environment

TOOL = Tool(
    name="packer",
    version=versions.PACKER,
    minimum=versions.PACKER_MINIMUM,
    package="github.com/hashicorp/packer",
    find_release=releases.find_packer_release,
)


def plugins_dir() -> Path:
    """Return the folder of Packer's plugins: the user's choice, else in the cache."""
    chosen = os.environ.get("PACKER_PLUGIN_PATH", "").split(os.pathsep)[0]
    return Path(chosen) if chosen else places.cache_dir() / "packer-plugins"


def find_plugin(plugin: PackerPlugin) -> Found | None:
    """Return an installed plugin; one without its checksum file was never finished."""
    for mark in sorted(plugins_dir().glob(f"{plugin.source}/*_SHA256SUM")):
        file = mark.with_name(mark.name.removesuffix("_SHA256SUM"))
        if file.exists():
            version = versions.parse_version(file.name)
            return Found(".".join(map(str, version)), str(file))
    return None


def install_plugin(plugin: PackerPlugin, say: Say) -> None:
    """Fetch a plugin's release, else build it from its Go module, and hand it to Packer.

    Packer writes its checksum beside it, and compares that whenever it starts the plugin.

    Raises:
        SetupError: Packer is missing, or refused the plugin.
    """
    packer = TOOL.find()
    if packer is None:
        raise SetupError("Packer's plugins need Packer", todo="Install that first.")
    with tempfile.TemporaryDirectory(prefix="immutable-plugin-") as folder:
        binary = _make_plugin(plugin, Path(folder), say)
        done = _run_packer(packer, "plugins", "install", "--path", str(binary), plugin.source)
        if done.returncode:
            raise SetupError(
                f"Packer refused the plugin {plugin.name}",
                facts=(done.stderr or done.stdout).strip().splitlines()[-5:],
                todo=f"Type `packer plugins install {plugin.source}`.",
            )


def _make_plugin(plugin: PackerPlugin, folder: Path, say: Say) -> Path:
    """Return the plugin's file, fetched or built."""
    release = releases.find_plugin_release(plugin)
    try:
        releases.fetch_release(release, folder, say)
    except releases.NotServedError as error:
        say(f"the official release cannot be had ({error}): building from the Go module")
        # A module may say `dev` of a release; Packer takes that for an earlier version.
        linking = f"-X {plugin.package}/version.VersionPrerelease="
        go.build(plugin.module, plugin.package, folder / plugin.module, say, linking)
        return folder / plugin.module
    return folder / release.file.removesuffix(".zip")


def _run_packer(packer: Found, *words: str) -> subprocess.CompletedProcess[str]:
    folder = plugins_dir()
    folder.mkdir(parents=True, exist_ok=True)
    ours = make_setup_environment("PACKER_GITHUB_API_TOKEN")
    environment = {**ours, "PACKER_PLUGIN_PATH": str(folder), "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        [packer.place, *words], env=environment, capture_output=True, text=True, check=False
    )


def make_plugin_part(plugin: PackerPlugin) -> Part:
    """Return the part for a plugin that a target needs."""
    return Part(
        name=f"packer plugin {plugin.name}",
        size="30 MB",
        seconds=60,
        find=partial(find_plugin, plugin),
        fix=f"packer plugins install {plugin.source}",
        install=partial(install_plugin, plugin),
    )


PACKER = Part(
    name="packer",
    size="45 MB",
    seconds=75,
    find=TOOL.find,
    fix="./immutable --yes up, or https://developer.hashicorp.com/packer/install",
    install=TOOL.install,
)
