"""How memory is measured."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from immutable_bench.memory import measure, start_sampling
from immutable_bench.scratch import MARK


def test_memory_counts_marked_processes_but_machines(tmp_path: Path) -> None:
    """A child with the mark is counted, and alone; one that is named like a machine is not."""
    mark = f"{MARK}_TEST"
    variable = f"{mark}={os.getpid()}"
    assert measure(variable) == {}
    # Every page is written to: one that was only asked for takes no memory.
    program = "import sys; kept = b'x' * 64_000_000; print(1, flush=True); sys.stdin.read()"
    for name, counts in (("python", True), ("qemu-system-toy", False)):
        link = tmp_path / name
        link.symlink_to(sys.executable)
        with subprocess.Popen(
            [str(link), "-c", program],
            env={**os.environ, mark: str(os.getpid())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            taken = sum(measure(variable).values())
            child.kill()
        assert (taken > 60_000_000) == counts


def test_the_most_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that is less than one before changes nothing."""
    samples = iter([5, 9, 3])
    over = threading.Event()

    def give(_variable: str) -> dict[str, int]:
        try:
            return {"pulumi": next(samples), "python": 1}
        except StopIteration:
            over.set()
            return {}

    monkeypatch.setattr("immutable_bench.memory.measure", give)
    monkeypatch.setattr("immutable_bench.memory.EVERY", 0.001)
    with start_sampling(MARK) as memory:
        assert over.wait(10)
    assert memory.most == 10
    assert memory.parts == {"pulumi": 9, "python": 1}
