"""Which versions the toolchain is made of."""

import re
import tomllib

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.driver.setup.needs import (
    find_needs,
)
from immutable_servers.targets import TARGETS

PLUGINS = [
    need
    for target in TARGETS
    for need in find_needs(target).acting
    if isinstance(need, PackerPlugin)
]


def test_the_pinned_versions_are_those_of_the_go_modules() -> None:
    """`versions.py`, the Go modules and the SDK's requirement name the same versions."""
    modules = CHECKOUT / "toolchain" / "go"
    for folder, module, version in (
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", pinned.PULUMI),
        ("pulumi", "github.com/pulumi/pulumi/sdk/v3", pinned.PULUMI),
        ("packer", "github.com/hashicorp/packer", pinned.PACKER),
        *((plugin.module, plugin.package, plugin.version) for plugin in PLUGINS),
    ):
        assert f"{module} v{version} " in (modules / folder / "go.mod").read_text()
    assert f"pulumi=={pinned.PULUMI} " in (CHECKOUT / "requirements.in").read_text()
    tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def test_the_known_archives_are_those_of_the_pinned_versions() -> None:
    """No checksum of an earlier version is left behind, and each is a SHA-256."""
    plugins = "|".join(f"{plugin.module}_v{plugin.version}_" for plugin in PLUGINS)
    names = rf"pulumi-v{pinned.PULUMI}-|packer_{pinned.PACKER}_|{plugins}"
    for file, digest in pinned.ARCHIVES.items():
        assert re.match(names, file), file
        assert re.fullmatch("[0-9a-f]{64}", digest), file


def test_each_plugin_can_be_built() -> None:
    """A plugin whose checksum is not known has its Go module in the checkout."""
    for plugin in PLUGINS:
        assert (CHECKOUT / "toolchain" / "go" / plugin.module / "go.sum").exists()
