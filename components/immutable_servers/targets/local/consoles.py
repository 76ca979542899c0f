"""What machines printed on their consoles: beside the machine, and for a week after it is gone.

```
logs/<project>/<stack>/<service>-<generation>/<server>.log    the console of a server that is gone
```
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from immutable_servers import places
from immutable_servers.targets.contract import Scope
from immutable_servers.targets.local import layout

KEPT_SECONDS = 7 * 24 * 3600
CONSOLE = "console.log"


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
    _remove_old(scope)


def find_consoles(scope: Scope) -> dict[str, Path]:
    """Return the logs by server name; those of servers that exist hide those of earlier ones."""
    found = {file.stem: file for file in sorted(_find_kept(scope))}
    for folder in sorted(layout.generations_dir(scope).glob(f"{_pattern(scope)}/servers/*")):
        if (folder / CONSOLE).exists():
            found[f"{folder.parents[1].name}-{folder.name}"] = folder / CONSOLE
    return found


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


def _remove_old(scope: Scope) -> None:
    oldest = time.time() - KEPT_SECONDS
    for file in _kept_dir(scope).parent.glob("*/*.log"):
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()
                file.parent.rmdir()
