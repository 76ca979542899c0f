"""`status`: what exists and what serves, and the outputs of the last run that it starts from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from immutable_servers.driver.outcome import find_error
from immutable_servers.driver.stack import MISSING, load_stack
from immutable_servers.errors import ImmutableError


def read_outputs(root: Path, name: str) -> Mapping[str, Any]:
    """Return the outputs of the stack's last run; empty before the first.

    Raises:
        ImmutableError: The backend could not be read.
    """
    stack = load_stack(root, name)
    done = stack.read("stack", "output", "--json")
    if done.returncode and MISSING in done.stderr:
        return {}
    if done.returncode:
        raise find_error(done.stderr) or ImmutableError(
            f"The outputs of {name} could not be read", facts=done.stderr.splitlines()
        )
    read = json.loads(done.stdout or "{}")
    return read if isinstance(read, dict) else {}
