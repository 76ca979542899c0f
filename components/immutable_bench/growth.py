"""How a preview grows with the number of services, on the instant target of the tests."""

import json
import subprocess
import sys
from pathlib import Path

from immutable_bench.rings import make_environment
from immutable_bench.table import Measured, Place, measurement
from immutable_servers.errors import ImmutableError

MOST = 1.3
SCRIPT = Path("tests") / "engine" / "growth.py"
FOLDERS = ("components", "tests", "tests/engine/instant")
"""Where the script imports from."""


@measurement("growth", f"a preview at most {MOST} times a plain program's with as many resources")
def measure_growth(place: Place) -> Measured:
    """Compare previews of 1, 10 and 50 services, two generations each, with plain programs."""
    if not (place.root / SCRIPT).exists():
        raise ImmutableError(
            f"There is no {SCRIPT} in this project", todo="Run it in a checkout with the tests."
        )
    path = ":".join(str(place.root / folder) for folder in FOLDERS)
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=place.root,
        env={**make_environment(place.root), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImmutableError("The measurement of growth failed", facts=done.stderr.splitlines())
    found = [json.loads(line) for line in done.stdout.splitlines()]
    words = [
        f"{line['services']}: {line['ours']:.1f} s, {line['ours'] / line['plain']:.2f} times"
        for line in found
    ]
    good = all(line["ours"] <= MOST * line["plain"] for line in found)
    return Measured("; ".join(words), good)
