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
    """A plugin of Packer; `toolchain/go` can hold its Go module to build it from.

    Attributes:
        owner: Whose it is on github.com.
    """

    name: str
    version: str
    owner: str = "hashicorp"

    @property
    def source(self) -> str:
        """Its address, as templates name it."""
        return f"github.com/{self.owner}/{self.name}"

    @property
    def module(self) -> str:
        """The name of its repository, its Go module and its program."""
        return f"packer-plugin-{self.name}"

    @property
    def package(self) -> str:
        """The address of its repository and its Go module."""
        return f"github.com/{self.owner}/{self.module}"


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
        variables: Names of environment variables that its tools need beside the common ones; `*` at
            the end stands for any rest. Packer and what the target starts get them, and no others.
        platform: The `sys.platform` on which it bakes and launches; empty for any.
    """

    acting: Sequence[Need] = ()
    asking: Sequence[Need] = ()
    upstream: Sequence[Need] = ()
    variables: tuple[str, ...] = ()
    platform: str = ""
