"""A part of the set-up: how it is found, how it is installed, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass

from immutable_servers.contract.values import Say


@dataclass(frozen=True)
class Found:
    """A part that was found.

    Attributes:
        version: As the part itself says it, such as `3.259.0`.
        place: The file or folder where it lies.
    """

    version: str
    place: str


@dataclass(frozen=True)
class Part:
    """One thing that has to be on the machine.

    Attributes:
        size: What it takes on the disk, in words.
        seconds: How long installing takes at most on two cores.
        find: Looks for it, quickly; None when it is missing.
        fix: What a user types to install it by hand.
        install: Installs it, saying how and why; raises a SetupError.
        package: The Debian package that holds it; such parts are installed together by apt.
    """

    name: str
    size: str
    seconds: int
    find: Callable[[], Found | None]
    fix: str
    install: Callable[[Say], None] | None = None
    package: str = ""
