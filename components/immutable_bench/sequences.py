"""`bench --sequences N`: other random sequences than CI plays, through the instant target."""

import secrets
from pathlib import Path

from immutable_bench.rings import make_environment, render_choice, run_ring, summarize
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import ENGINE
from immutable_servers.driver.terminal import console

RING = "engine"
SEEDS = 1_000_000


def run_sequences(root: Path, number: int, *, yes: bool) -> int:
    """Play random sequences of changes and faults, and say the seed that has them again."""
    install_missing(ENGINE, yes=yes)
    seed = secrets.randbelow(SEEDS)
    console.say(f"{number} sequences from seed {seed} (IMMUTABLE_SEED)")
    environment = {
        **make_environment(root),
        "IMMUTABLE_SEQUENCES": str(number),
        "IMMUTABLE_SEED": str(seed),
    }
    words = [*render_choice(RING, fast=False), "-k", "test_sequences"]
    return summarize([run_ring(root, RING, words, environment)])
