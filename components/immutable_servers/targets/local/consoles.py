"""What machines printed on their consoles: beside the machine, and for a week after it is gone.

```
logs/<project>/<stack>/<service>-<generation>/<server>.log    the console of a server that is gone
```
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.system import places
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.relay import MOST_BYTES, cut_console
from immutable_servers.targets.shared.console_words import READ_BYTES, describe_words
from immutable_servers.targets.shared.failed_units import UnitWatch

KEPT_SECONDS = 7 * 24 * 3600
CONSOLE = "console.log"
_PANIC = "Kernel panic"
PANICKED = "its kernel panicked"
_SURE_SECONDS = 10.0
"""How long units must have failed for good: a timer or another unit may yet start them."""


@dataclass
class ConsoleWatch:
    """Looks again and again whether what a machine printed ends all hope that it serves.

    Attributes:
        offset: How much of the log is read.
        rest: The start of a line whose end is not written yet.
        since: When units had first failed for good, by the monotonic clock.
    """

    folder: Path
    units: UnitWatch = field(default_factory=UnitWatch)
    offset: int = 0
    rest: str = ""
    panicked: bool = False
    since: float | None = None

    def find_end(self) -> str:
        """Return why the machine will not serve; empty while it may."""
        for line in self._read_lines():
            self.panicked = self.panicked or _PANIC in line
            self.units.take(line)
        if self.panicked:
            return PANICKED
        now, trouble = time.monotonic(), self.units.trouble
        self.since = (self.since or now) if trouble else None
        return trouble if self.since and now - self.since >= _SURE_SECONDS else ""

    def _read_lines(self) -> Sequence[str]:
        """Return the whole lines since the last look."""
        try:
            with (self.folder / CONSOLE).open("rb") as log:
                if log.seek(0, 2) < self.offset:  # it was cut to its end
                    self.offset = 0
                log.seek(self.offset)
                new = log.read()
        except FileNotFoundError:
            return []
        self.offset += len(new)
        *lines, rest = (self.rest + new.decode(errors="replace")).split("\n")
        self.rest = rest[-READ_BYTES:]  # it may never end
        return lines


def find_failed_units(folder: Path) -> str:
    """Return which units of a machine have failed for good, and why; empty while it may serve."""
    watch = UnitWatch()
    for line in _read_end(folder).splitlines():
        watch.take(line)
    return watch.trouble


def find_words(folder: Path) -> Sequence[str]:
    """Return what helps to see why a machine does not serve, from what it printed."""
    return describe_words(_read_end(folder))


def _read_end(folder: Path) -> str:
    try:
        with (folder / CONSOLE).open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - READ_BYTES))
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def keep_consoles(scope: Scope, servers: list[Path], name: str = "") -> None:
    """Move the consoles of servers that are about to go, and remove what is older than a week.

    A machine that still runs writes on into the moved file. A log that cannot be kept keeps no
    server from going. `name` stands for a folder's own where that is no server's.
    """
    folder = _kept_dir(scope)
    for server in servers:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(server / CONSOLE, folder / f"{_name(scope, name or server.name)}.log")
    for file in find_old(scope):
        remove_log(file)


def find_consoles(scope: Scope) -> dict[str, Path]:
    """Return the logs by server name; those of servers that exist hide those of earlier ones."""
    found = {file.stem: file for file in sorted(_find_kept(scope))}
    for folder in sorted(layout.generations_dir(scope).glob(f"{_pattern(scope)}/servers/*")):
        if (folder / CONSOLE).exists():
            found[f"{folder.parents[1].name}-{folder.name}"] = folder / CONSOLE
    return found


def find_old(scope: Scope | None = None) -> list[Path]:
    """Return the kept logs that are older than a week, of a stack or of all."""
    oldest = time.time() - KEPT_SECONDS
    stacks = f"{scope.project}/{scope.stack}" if scope else "*/*"
    found = sorted((places.data_dir() / "logs").glob(f"{stacks}/*/*.log"))
    return [file for file in found if _read_time(file) < oldest]


def remove_log(file: Path) -> None:
    """Remove a kept log, and its folders as far as nothing is in them."""
    with suppress(OSError):
        file.unlink()
        for folder in list(file.parents)[:3]:
            folder.rmdir()


def bound_consoles(scope: Scope) -> None:
    """Cut the logs of a stack's servers to their ends where they have grown beyond `MOST_BYTES`.

    Those of machines that were started before their relays did it: QEMU opened them to append.
    """
    for log in layout.generations_dir(scope).glob(f"*/servers/*/{CONSOLE}"):
        with suppress(OSError):
            if log.stat().st_size > MOST_BYTES:
                with log.open("a+b") as file:
                    cut_console(file.fileno())


def _read_time(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another run has just removed it
        return time.time()


def _find_kept(scope: Scope) -> Iterator[Path]:
    return _kept_dir(scope).parent.glob(f"{_pattern(scope)}/*.log")


def _pattern(scope: Scope) -> str:
    # A generation's id is 8 digits: `web-*` alone would find those of a service `web-admin` too.
    return f"{scope.service}-{scope.generation or '?' * 8}"


def _kept_dir(scope: Scope) -> Path:
    logs = places.data_dir() / "logs" / scope.project / scope.stack
    return logs / layout.backend_name(scope)


def _name(scope: Scope, number: str) -> str:
    return f"{layout.backend_name(scope)}-{number}"
