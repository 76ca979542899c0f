"""Plugins of Packer that tests with the real one need."""

import subprocess

import pytest

from immutable_servers.contract.needs import PackerPlugin


def needs_plugin(plugin: PackerPlugin) -> None:
    """Skip a test where `./immutable test` has not installed a plugin."""
    done = subprocess.run(
        ["packer", "plugins", "installed"], capture_output=True, text=True, check=False
    )
    if plugin.source not in done.stdout:
        pytest.skip(f"the {plugin.name} plugin of Packer is not installed")
