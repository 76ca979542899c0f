"""The versions of the toolchain. A test compares them with the Go modules."""

import re

PULUMI = "3.259.0"
PULUMI_MINIMUM = (3, 250)
PACKER = "1.15.0"
PACKER_MINIMUM = (1, 10)
GO_MINIMUM = (1, 25, 11)


def parse_version(text: str) -> tuple[int, ...]:
    """Return the first version number in a text, such as `(3, 259, 0)`; empty when none is."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else ()
