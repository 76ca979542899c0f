"""Where the local target keeps each thing, under `places.data_dir()`.

```
images/<image>/<version>/                      artifacts
ports/<port>                                   ports in use, each naming the folder that owns it
stacks/<project>/<stack>/owner.json            the state that holds the stack
stacks/<project>/<stack>/balancer/             the stack's HAProxy
stacks/<project>/<stack>/generations/<service>-<generation>/    a fleet
stacks/<project>/<stack>/probes/<service>-<generation>/         a probe: one server, serving nobody
```
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.system import places

OWNER, BALANCER = "owner.json", "balancer"


def stacks_dir() -> Path:
    """Return the folder of all stacks, by project."""
    return places.data_dir() / "stacks"


def stack_dir(scope: Scope) -> Path:
    """Return the folder of a stack."""
    return stacks_dir() / scope.project / scope.stack


def balancer_dir(scope: Scope) -> Path:
    """Return the folder of a stack's balancer."""
    return stack_dir(scope) / BALANCER


def generations_dir(scope: Scope) -> Path:
    """Return the folder that holds a stack's generations."""
    return stack_dir(scope) / "generations"


def generation_dir(scope: Scope) -> Path:
    """Return the folder of one generation."""
    return generations_dir(scope) / backend_name(scope)


def probes_dir(scope: Scope) -> Path:
    """Return the folder that holds a stack's probes."""
    return stack_dir(scope) / "probes"


def owner_file(scope: Scope) -> Path:
    """Return the file that names the state which holds a stack."""
    return stack_dir(scope) / OWNER


def images_dir() -> Path:
    """Return the folder of all images."""
    return places.data_dir() / "images"


def artifact_dir(artifact: str) -> Path:
    """Return the folder of an artifact by its id, such as `app/3f2a9c41d0e7`."""
    return images_dir() / artifact


def backend_name(scope: Scope) -> str:
    """Return a generation's name within its stack, such as `web-3f2a9c41`."""
    return f"{scope.service}-{scope.generation}"


def remove_folder(folder: Path) -> None:
    """Remove a folder and its sockets' folder; missing ones are no error."""
    shutil.rmtree(places.find_runtime_dir(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=False, onerror=_ignore_missing)


def remove_empty_folders(scope: Scope) -> None:
    """Remove a stack's folders, as far as nothing is in them; its owner goes with the last."""
    stack = stack_dir(scope)
    for folder in (generations_dir(scope), probes_dir(scope)):
        with suppress(OSError):
            folder.rmdir()
    if stack.is_dir() and {path.name for path in stack.iterdir()} <= {OWNER}:
        (stack / OWNER).unlink(missing_ok=True)
    for folder in (stack, *list(stack.parents)[:2]):
        with suppress(OSError):
            folder.rmdir()


def measure(folder: Path) -> int:
    """Return the bytes that a folder takes on the disk."""
    files = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)  # noqa: PTH118 - os.walk's
    return sum(os.lstat(file).st_blocks * 512 for file in files if os.path.lexists(file))


def _ignore_missing(_function: object, _path: str, found: Any) -> None:  # noqa: ANN401 - shutil's shape
    if not isinstance(found[1], FileNotFoundError):
        raise found[1]
