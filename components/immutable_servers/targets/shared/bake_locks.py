"""Lets two runs on one machine that want one version bake it once."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.values import Say
from immutable_servers.system.file_locks import hold_lock, is_unheld
from immutable_servers.system.places import data_dir


@contextmanager
def hold_version(target: str, image: str, version: str, say: Say) -> Iterator[None]:
    """Hold a version of an image on a target; wait for a run that holds it, saying which.

    Raises:
        StoppedError: This process was asked to stop while it waited.
    """
    path, what = _find_lock(target, image, version), f"{image} {version}"

    def say_who() -> None:
        holder = (path.read_text() if path.exists() else "") or "unknown"
        say(f"waits for {what}, which another run bakes (process {holder})")

    with hold_lock(path, math.inf, what, on_wait=say_who):
        try:
            path.write_text(str(os.getpid()))
            yield
        finally:
            # While it is held: who waits for this file sees that it is gone, and makes a new one.
            path.unlink(missing_ok=True)


def is_held(target: str, image: str, version: str) -> bool:
    """Return whether a run on this machine holds a version; the caller's own counts."""
    path = _find_lock(target, image, version)
    return path.exists() and not is_unheld(path)


def _find_lock(target: str, image: str, version: str) -> Path:
    return data_dir() / "locks" / target / f"{image}-{version}"
