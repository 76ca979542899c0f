"""Sees that a bake cannot end well any more, long before its deadline."""

import shutil
from pathlib import Path

from immutable_servers import places
from immutable_servers.errors import ImageError
from immutable_servers.targets.local.boot import read_console
from immutable_servers.targets.local.halves import RESERVE
from immutable_servers.targets.local.strays import find_bakers

_BEFORE_LOGIN = "Waiting for SSH to become available"
"""What Packer says last until it is in the guest; it does not see that the guest is gone."""


class BakeWatch:
    """Looks at one bake: at the disk that it fills, and at its machine.

    Attributes:
        machine: The pid of its machine, once that was seen.
    """

    def __init__(self, half: Path) -> None:
        """Look at the bake that fills this half folder."""
        self.half = half
        self.machine: int | None = None

    def __call__(self, last_line: str) -> None:
        """Look once.

        Raises:
            ImageError: The disk is nearly full, or the machine ended before Packer was in it.
        """
        self._look_at_disk()
        running = find_bakers(self.half)
        if self.machine and self.machine not in running and _BEFORE_LOGIN in last_line:
            printed = read_console(places.find_runtime_dir(self.half))
            raise ImageError(
                "The machine of the bake ended before Packer could log in",
                facts=["It printed last:", *printed] if printed else ["It printed nothing."],
                todo="Correct what it starts from when its kernel or its boot failed. When somebody"
                " killed it, or the kernel did for want of memory, run the same command again.",
            )
        self.machine = self.machine or next(iter(running), None)

    def _look_at_disk(self) -> None:
        free = shutil.disk_usage(self.half.parent).free
        if free < RESERVE:
            raise ImageError(
                "The bake was ended, for the disk is nearly full",
                facts=[
                    f"{self.half.parent} has {free // 1024**2} MB left.",
                    f"{RESERVE // 1024**2} MB are kept for servers that run.",
                ],
                todo="Make room, or delete images that nothing needs with ./immutable prune.",
            )
