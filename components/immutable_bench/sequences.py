"""`bench --sequences N`: other random sequences than CI plays, on the simulated engine."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from immutable_servers.driver.opened import Opened
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError, SettingsError

MODULE = "harness.simulation"
PLACE = Path("tests") / "harness" / "simulation"
FOLDERS = ("components", "tests")
"""Where it is imported from."""
SEEDS = 1_000_000


def run_sequences(root: Path, number: int, *, seed: int | None, stack: str) -> int:
    """Play random sequences of changes and faults; say the seed that has them again.

    Args:
        root: The checkout.
        number: At least so many.
        seed: The first chain's; None for one that nobody has played yet.
        stack: Begin with the generations of this stack's ledger; empty for the sample's.

    Raises:
        ImmutableError: The checkout has no tests, or the stack no ledger.
    """
    if not (root / PLACE).exists():
        raise ImmutableError(
            f"There is no {PLACE} in this project", todo="Run it in a checkout with the tests."
        )
    chosen = secrets.randbelow(SEEDS) if seed is None else seed
    console.say(f"{number} sequences from seed {chosen}")
    with TemporaryDirectory(prefix="sequences-") as folder:
        words = ["--sequences", str(number), "--seed", str(chosen)]
        if stack:
            ledger = Path(folder) / "ledger.json"
            ledger.write_text(json.dumps(read_ledger(Opened(root, stack))))
            words += ["--ledger", str(ledger)]
        path = ":".join(str(root / place) for place in FOLDERS)
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-m", MODULE, *words], cwd=root, env=environment, check=False
        )
    return done.returncode


def read_ledger(stack: Opened) -> dict[str, object]:
    """Return the ledger of a stack with what serves, as its last run exported it.

    Raises:
        SettingsError: Nothing of it is live.
    """
    ledgers = {name: one.to_plain() for name, one in stack.read_ledgers().items() if one.live}
    if not ledgers:
        raise SettingsError(
            f"Nothing is live in {stack.name}, so there is nothing to begin with",
            todo="Leave out --from-stack, or run `./immutable up` first.",
        )
    return dict(ledgers)
