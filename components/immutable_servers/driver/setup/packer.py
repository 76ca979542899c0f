"""Packer, and its plugins."""

import os
import socket
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

TOOL = Tool(
    name="packer",
    version=versions.PACKER,
    minimum=versions.PACKER_MINIMUM,
    package="github.com/hashicorp/packer",
    find_release=releases.find_packer_release,
)
PLUGIN_HOST = "api.github.com"
"""Where `packer init` looks for plugins."""


def plugins_dir() -> Path:
    """Return the folder of Packer's plugins: the user's choice, else in the cache."""
    chosen = os.environ.get("PACKER_PLUGIN_PATH", "").split(os.pathsep)[0]
    return Path(chosen) if chosen else places.cache_dir() / "packer-plugins"


def find_plugin(name: str) -> Found | None:
    """Return an installed plugin; one without its checksum file was never finished."""
    for mark in sorted(plugins_dir().glob(f"github.com/hashicorp/{name}/*_SHA256SUM")):
        file = mark.with_name(mark.name.removesuffix("_SHA256SUM"))
        if file.exists():
            version = versions.parse_version(file.name)
            return Found(".".join(map(str, version)), str(file))
    return None


def install_plugin(plugin: PackerPlugin, say: Say) -> None:
    """Let Packer fetch a plugin, else build it from its Go module and hand it to Packer.

    Raises:
        SetupError: Packer is missing, or refused the plugin.
    """
    packer, name = TOOL.find(), plugin.name
    if packer is None:
        raise SetupError("Packer's plugins need Packer", todo="Install that first.")
    reason = _fetch_plugin(packer, plugin)
    if not reason:
        return
    say(f"Packer cannot fetch it ({reason}): building from the Go module")
    with tempfile.TemporaryDirectory(prefix="immutable-plugin-") as folder:
        binary = Path(folder) / f"packer-plugin-{name}"
        go.build(binary.name, f"github.com/hashicorp/{binary.name}", binary, say)
        source = f"github.com/hashicorp/{name}"
        done = _run_packer(packer, "plugins", "install", "--path", str(binary), source)
        if done.returncode:
            raise SetupError(
                f"Packer refused the plugin {name}",
                facts=(done.stderr or done.stdout).strip().splitlines()[-5:],
                todo=f"Type `packer plugins install {source}`.",
            )


def _fetch_plugin(packer: Found, plugin: PackerPlugin) -> str:
    """Run `packer init`; return why that did not work, or nothing."""
    try:
        socket.create_connection((PLUGIN_HOST, 443), releases.CONNECT_SECONDS).close()
    except OSError as error:
        return f"{PLUGIN_HOST}: {error}"
    with tempfile.TemporaryDirectory(prefix="immutable-plugin-") as folder:
        template = Path(folder) / "plugins.pkr.hcl"
        source, version = f"github.com/hashicorp/{plugin.name}", plugin.version
        line = f'{plugin.name} = {{ source = "{source}", version = "{version}" }}'
        template.write_text(f"packer {{\n  required_plugins {{\n    {line}\n  }}\n}}\n")
        done = _run_packer(packer, "init", str(template))
    lines = (done.stderr or done.stdout).strip().splitlines()
    return (lines[0] if lines else "packer init failed") if done.returncode else ""


def _run_packer(packer: Found, *words: str) -> subprocess.CompletedProcess[str]:
    folder = plugins_dir()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PACKER_PLUGIN_PATH": str(folder), "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        [packer.place, *words], env=environment, capture_output=True, text=True, check=False
    )


def make_plugin_part(plugin: PackerPlugin) -> Part:
    """Return the part for a plugin that a target needs."""
    return Part(
        name=f"packer plugin {plugin.name}",
        size="30 MB",
        seconds=60,
        find=partial(find_plugin, plugin.name),
        fix=f"packer plugins install github.com/hashicorp/{plugin.name}",
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
