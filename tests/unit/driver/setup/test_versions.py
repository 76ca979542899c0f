"""Which versions the toolchain is made of."""

import tomllib

from immutable_servers.contract.needs import PackerPlugin
from immutable_servers.driver.project.files import CHECKOUT
from immutable_servers.driver.setup import versions as pinned
from immutable_servers.driver.setup.needs import (
    find_needs,
)
from immutable_servers.targets import TARGETS

PINNED = {
    need.name: need.version
    for target in TARGETS
    for need in find_needs(target).acting
    if isinstance(need, PackerPlugin)
}


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
