"""Ends a bake that cannot end well any more, long before its deadline."""

import shutil
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.system.half_folders import RESERVE
from immutable_servers.targets.local.servers import read_console
from immutable_servers.targets.local.strays import find_bakers

_BEFORE_LOGIN = "Waiting for SSH to become available"
"""Packer's last line until it is in the guest; it does not notice when the guest is gone."""


def watch_bake(half: Path, last_line: str) -> None:
    """Look once at the disk that a bake fills, and at its machine.

    Args:
        half: The half folder that it fills.
        last_line: What Packer printed last.

    Raises:
        ImageError: The disk is nearly full, or the machine ended before Packer was in it.
    """
    free = shutil.disk_usage(half.parent).free
    if free < RESERVE:
        raise ImageError(
            "The bake was ended because the disk is nearly full",
            facts=[
                f"{half.parent} has {free // 1024**2} MB left.",
                f"{RESERVE // 1024**2} MB are kept for servers that run.",
            ],
            todo="Make room: `./immutable sweep` lists what no stack owns. Then run it again.",
        )
    if _BEFORE_LOGIN in last_line and not find_bakers(half):
        printed = read_console(places.find_runtime_dir(half))
        raise ImageError(
            "The machine of the bake ended before Packer could log in",
            facts=["It printed last:", *printed] if printed else ["It printed nothing."],
            todo="Correct what it starts from when its kernel or its boot failed. When somebody"
            " killed it, or the kernel did because memory ran out, run the same command again.",
        )
