"""Ends a bake that cannot end well any more, long before its deadline."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.system.half_folders import MAKE_ROOM, RESERVE
from immutable_servers.targets.local.consoles import PANICKED, ConsoleWatch, find_words
from immutable_servers.targets.local.strays import find_bakers

_BEFORE_LOGIN = "Waiting for SSH to become available"
"""Packer's last line until it is in the guest; it does not notice when the guest is gone."""
_SHUTS_DOWN = "alting"
"""In Packer's line `Gracefully halting virtual machine...`, or `Halting the virtual machine...`."""
_SURE_SECONDS = 10.0
"""How long a machine must be gone: Packer may be about to say that it ends it."""


@dataclass
class BakeWatch:
    """Looks each second at the disk that a bake fills, and at its machine.

    Attributes:
        half: The half folder that it fills.
        gone_since: When its machine was first found ended, by the monotonic clock.
        started: Its machine was seen.
        ends: Packer has said that it ends the machine.
    """

    half: Path
    gone_since: float | None = None
    started: bool = False
    ends: bool = False
    console: ConsoleWatch = field(init=False)

    def __post_init__(self) -> None:
        """Find the console."""
        self.console = ConsoleWatch(places.find_runtime_dir(self.half))

    def __call__(self, last_line: str) -> None:
        """Look once; `last_line` is what Packer printed last.

        Raises:
            ImageError: The disk is nearly full, or the machine ended or panicked under Packer.
        """
        self._refuse_full_disk()
        self.ends = self.ends or _SHUTS_DOWN in last_line
        if self.ends:
            return
        waits = _BEFORE_LOGIN in last_line
        if self.console.find_end() == PANICKED:  # the kernel starts the machine again
            raise self._explain("The kernel of the bake's machine panicked")
        if find_bakers(self.half):
            self.started, self.gone_since = True, None
        elif waits:
            raise self._explain("The machine of the bake ended before Packer could log in")
        elif self.started:
            self.gone_since = self.gone_since or time.monotonic()
            if time.monotonic() - self.gone_since >= _SURE_SECONDS:
                raise self._explain("The machine of the bake ended before Packer had done its work")

    def _refuse_full_disk(self) -> None:
        free = shutil.disk_usage(self.half.parent).free
        if free < RESERVE:
            raise ImageError(
                "The bake was ended because the disk is nearly full",
                facts=[
                    f"{self.half.parent} has {free // 1024**2} MB left.",
                    f"{RESERVE // 1024**2} MB are kept for servers that run.",
                ],
                todo=MAKE_ROOM,
            )

    def _explain(self, what: str) -> ImageError:
        said = find_words(self.console.folder)
        return ImageError(
            what,
            facts=["Its console says, by unit:", *said] if said else ["It printed nothing."],
            todo="Correct what it starts from when its kernel or its boot failed, and a provisioner"
            " that powers it off; it may reboot. When somebody killed it, or the kernel did because"
            " memory ran out, run the same command again.",
        )
