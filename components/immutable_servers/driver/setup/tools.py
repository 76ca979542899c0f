"""A tool that comes as its maker's release, and is built from its Go module where it cannot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.driver.setup import go, releases
from immutable_servers.driver.setup.cache import find_own, start_folder, toolchain_dir
from immutable_servers.driver.setup.intact import is_intact
from immutable_servers.driver.setup.parts import Found
from immutable_servers.driver.setup.releases import Release


@dataclass(frozen=True)
class Tool:
    """A command of the toolchain, which prints its version for `<name> version`.

    Attributes:
        version: The one that is installed.
        minimum: The oldest that counts when the machine has its own.
        package: The Go package that it is built from, of the module `toolchain/go/<name>`.
        find_release: Returns its maker's release for this machine.
        linking: Words for the linker of a build.
    """

    name: str
    version: str
    minimum: tuple[int, ...]
    package: str
    find_release: Callable[[], Release]
    linking: str = ""

    @property
    def folder(self) -> Path:
        """Where it is installed, in the cache."""
        return toolchain_dir() / f"{self.name}-{self.version}"

    def find(self, before: Sequence[Path] = ()) -> Found | None:
        """Return the machine's own tool where it is new enough, else the one in the cache.

        The folders `before` are looked into before the tool's own.
        """
        own = find_own(self.name, ["version"], self.minimum)
        if own:
            return own
        ours = (folder / self.name for folder in (*before, self.folder))
        return next(
            (
                Found(self.version, str(file))
                for file in ours
                if file.exists() and is_intact(file.parent)
            ),
            None,
        )

    def install(self, say: Say) -> None:
        """Fetch the official release, else build from the Go module.

        Raises:
            SetupError: Neither could be done.
        """
        if self.folder.exists():
            say("what is in the cache is not what was put there: making it anew")
        with start_folder(self.folder) as folder:
            try:
                releases.fetch_release(self.find_release(), folder, say)
            except releases.NotServedError as error:
                say(f"the official release cannot be had ({error}): building from the Go module")
                go.build(self.name, self.package, folder / self.name, say, self.linking)
