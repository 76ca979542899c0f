"""Sees that a test of the engine leaves no process behind."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import tenacity

LEFT = 20
"""Seconds that processes have to end after their test."""


@pytest.fixture(autouse=True)
def leaves_no_process(tmp_path: Path) -> Iterator[None]:
    """Fail a test after which a process of its folder still runs; a killed engine's may take a bit.

    The engine, the language host, the program and the providers all have it in their environment.
    """
    yield
    mark = f"{tmp_path}/".encode()
    try:
        tenacity.Retrying(
            retry=tenacity.retry_if_result(bool),
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(LEFT),
        )(find_processes, mark)
    except tenacity.RetryError as error:
        pytest.fail(f"still running: {error.last_attempt.result()}")


def find_processes(mark: bytes) -> list[str]:
    """Return pid and command line of the processes whose environment holds `mark`, but ours."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{folder.name} {line}")
    return found
