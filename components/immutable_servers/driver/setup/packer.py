"""Packer, and its plugin for each target."""

import os
import socket
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import go, releases, versions
from immutable_servers.driver.setup.cache import find_own, start_folder, toolchain_dir
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.errors import SetupError
from immutable_servers.system import places

PACKAGE = "github.com/hashicorp/packer"
PLUGIN_HOST = "api.github.com"
"""Where `packer init` looks for plugins."""


def find_packer() -> Found | None:
    """Return the machine's own Packer where it is new enough, else the one in the cache."""
    own = find_own("packer", ["version"], versions.PACKER_MINIMUM)
    if own:
        return own
    ours = _folder() / "packer"
    return Found(versions.PACKER, str(ours)) if ours.exists() else None


def install_packer(say: Say) -> None:
    """Fetch the official release, else build from the Go module."""
    with start_folder(_folder()) as folder:
        try:
            releases.fetch_release(releases.find_packer_release(), folder, say)
        except releases.NotServedError as error:
            say(f"the official release cannot be had ({error}): building from the Go module")
            go.build("packer", PACKAGE, folder / "packer", say)


def _folder() -> Path:
    return toolchain_dir() / f"packer-{versions.PACKER}"


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


def install_plugin(name: str, say: Say) -> None:
    """Let Packer fetch a plugin, else build it from its Go module and hand it to Packer.

    Raises:
        SetupError: Packer is missing, or refused the plugin.
    """
    packer = find_packer()
    if packer is None:
        raise SetupError("Packer's plugins need Packer", todo="Install that first.")
    reason = _fetch_plugin(packer, name)
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


def _fetch_plugin(packer: Found, name: str) -> str:
    """Run `packer init`; return why that did not work, or nothing."""
    try:
        socket.create_connection((PLUGIN_HOST, 443), releases.CONNECT_SECONDS).close()
    except OSError as error:
        return f"{PLUGIN_HOST}: {error}"
    version = versions.PLUGINS[name]
    with tempfile.TemporaryDirectory(prefix="immutable-plugin-") as folder:
        template = Path(folder) / "plugins.pkr.hcl"
        source = f"github.com/hashicorp/{name}"
        plugin = f'{name} = {{ source = "{source}", version = "{version}" }}'
        template.write_text(f"packer {{\n  required_plugins {{\n    {plugin}\n  }}\n}}\n")
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


def _plugin_part(name: str) -> Part:
    return Part(
        name=f"packer plugin {name}",
        size="30 MB",
        seconds=60,
        find=partial(find_plugin, name),
        fix=f"packer plugins install github.com/hashicorp/{name}",
        install=partial(install_plugin, name),
    )


PACKER = Part(
    name="packer",
    size="45 MB",
    seconds=75,
    find=find_packer,
    fix="./immutable --yes up, or https://developer.hashicorp.com/packer/install",
    install=install_packer,
)
QEMU_PLUGIN = _plugin_part("qemu")
AMAZON_PLUGIN = _plugin_part("amazon")
