"""The versions of the toolchain. A test compares them with the Go modules."""

import re
from collections.abc import Mapping

PULUMI = "3.259.0"
PULUMI_MINIMUM = (3, 250)
PULUMI_SCRIPT = "f33d1a121a49d5b042b472990f56de858a35ec12a7f9c67e620519fd86c8a37d"
"""SHA-256 of `pulumi-language-python-exec` in the Go module of this version, which go.sum pins."""
PACKER = "1.15.0"
PACKER_MINIMUM = (1, 10)
PACKER_PLUGIN_API = "x5.0"
"""The protocol of Packer's plugins, which is in their files' names."""
GO_MINIMUM = (1, 25, 11)
ARCHIVES: Mapping[str, str] = {
    "packer_1.15.0_darwin_amd64.zip": (
        "a565b825aed17ac9a7c422b5ed22e6598dd42b9f705de161695853b1f5c6bd80"
    ),
    "packer_1.15.0_darwin_arm64.zip": (
        "ebd8eb03503627471f39b036ff5dbb24070d21518d59aa8cbf962386257d21a4"
    ),
    "packer_1.15.0_linux_amd64.zip": (
        "2fd1149c5c6c7604ced64d7b56638af05f6b7ed3f6835182bc913ddaba1f16b8"
    ),
    "packer_1.15.0_linux_arm64.zip": (
        "1687f43bd120601f62e54b970b1cc06f83e95897357dc5c679b57ec9d2fb40a7"
    ),
}
"""SHA-256 of the makers' archives, by file name; one that is not here is not downloaded.

Packer's are those of the formula in HashiCorp's own Homebrew tap (hashicorp/homebrew-tap,
Formula/packer.rb, 1.15.0); the ones for Linux are the same in formulas of others.
"""


def parse_version(text: str) -> tuple[int, ...]:
    """Return the first version number in a text, such as `(3, 259, 0)`; empty when none is."""
    found = re.search(r"(?<!\d)\d+(?:\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else ()
