"""Runs the simulation in a process of its own: its stand-ins replace Pulumi's SDK and the clock."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from harness.checkout import ROOT
from harness.sequences.operations import Operation

FOLDERS = ("components", "tests")
"""Where its modules are imported from."""


def run_simulation(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run `python -m harness.simulation`."""
    return subprocess.run(
        [sys.executable, "-m", "harness.simulation", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ":".join(str(ROOT / folder) for folder in FOLDERS)},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def trace(chains: Sequence[Sequence[Operation]]) -> list[list[dict[str, str]]]:
    """Return what a client of each service is answered after each operation, simulated."""
    plain = json.dumps([[asdict(operation) for operation in chain] for chain in chains])
    done = run_simulation("--trace", given=plain)
    assert done.returncode == 0, done.stderr
    answers: list[list[dict[str, str]]] = json.loads(done.stdout)
    return answers
