"""`bench --slow-nodes`: the load runs on emulated clouds whose balancers follow late."""

import subprocess
import sys
from pathlib import Path

from immutable_bench.rings import CLOUDS, CLOUDY, list_tools, make_environment
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.errors import ImmutableError

FILES = tuple(Path("tests", CLOUDS, cloud, "test_load.py") for cloud in CLOUDY)


def run_slow_nodes(root: Path, *, yes: bool) -> int:
    """Move traffic to and fro under load on each cloud, and say what was answered.

    Args:
        root: The checkout.
        yes: Install without asking.

    Raises:
        ImmutableError: The checkout has no tests.
    """
    missing = [file for file in FILES if not (root / file).exists()]
    if missing:
        raise ImmutableError(
            f"There is no {missing[0]} in this project", todo="Run it in a checkout with the tests."
        )
    install_missing(list_tools(CLOUDY, fast=False), yes=yes)
    words = [sys.executable, "-m", "pytest", "-s", "-m", "long", *map(str, FILES)]
    return subprocess.run(words, cwd=root, env=make_environment(root), check=False).returncode
