"""What machines printed on their consoles: beside the machine, and for a week after it is gone.

```
logs/<project>/<stack>/<service>-<generation>/<server>.log    the console of a server that is gone
```
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.system import places
from immutable_servers.targets.local import layout

KEPT_SECONDS = 7 * 24 * 3600
CONSOLE = "console.log"
MOST_BYTES = 16 * 2**20
KEPT_BYTES = 4 * 2**20
_CUT = b"(earlier lines were cut)\n"


def keep_consoles(scope: Scope, servers: list[Path]) -> None:
    """Move the consoles of servers that are about to go, and remove what is older than a week.

    A machine that still runs writes on into the moved file. A log that cannot be kept keeps no
    server from going.
    """
    folder = _kept_dir(scope)
    for server in servers:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(server / CONSOLE, folder / f"{_name(scope, server.name)}.log")
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

    QEMU opens a log to append to it, so it goes on behind the new end. What is written in the
    moment of the cut is lost.
    """
    for log in layout.generations_dir(scope).glob(f"*/servers/*/{CONSOLE}"):
        with suppress(OSError):
            if log.stat().st_size > MOST_BYTES:
                _cut(log)


def _cut(log: Path) -> None:
    with log.open("r+b") as file:
        file.seek(-KEPT_BYTES, os.SEEK_END)
        file.readline()  # the rest of a line whose beginning goes
        end = file.read()
        file.seek(0)
        file.write(_CUT + end)
        file.truncate()


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
