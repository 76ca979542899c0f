"""What a target needs on the machine, as plain data: the driver finds it and installs it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian.

    Attributes:
        brings: A command that is found when the package is installed, or the path of a file.
        size: Its size on the disk, in words.
        seconds: How long installing takes at most.
        rootless: Only a user who is not root needs it.
    """

    name: str
    brings: str
    size: str
    seconds: int
    rootless: bool = False


@dataclass(frozen=True)
class PackerPlugin:
    """A plugin of github.com/hashicorp; `toolchain/go` can hold its Go module to build it from."""

    name: str
    version: str


@dataclass(frozen=True)
class PythonPackages:
    """The Python packages of `requirements-<name>.lock` in the checkout.

    Attributes:
        size: Their size on the disk, in words.
        seconds: How long installing takes at most.
    """

    name: str
    size: str
    seconds: int


Need = DebianPackage | PackerPlugin | PythonPackages


@dataclass(frozen=True)
class Needs:
    """What a target needs, by what a run does with it; the engine and Packer come in addition.

    Attributes:
        acting: To bake and launch. A preview does without the Debian packages among it.
        asking: To ask what exists and serves, and to delete it.
        upstream: To look for newer versions of what images start from.
        platform: The `sys.platform` on which it bakes and launches; empty for any.
    """

    acting: Sequence[Need] = ()
    asking: Sequence[Need] = ()
    upstream: Sequence[Need] = ()
    platform: str = ""
