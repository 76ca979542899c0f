"""The commands that only a checkout has: `test` and `bench`."""

from typing import Annotated

import typer

from immutable_servers.driver.cli import DEFAULT_STACK, Answers, Stack, Yes
from immutable_servers.driver.project.files import find_root


def register(app: typer.Typer) -> None:
    """Add the commands to the driver's table."""
    app.command(name="test", context_settings={"allow_extra_args": True})(run_tests)
    app.command()(bench)


def run_tests(
    context: typer.Context,
    *,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="No machines, no clouds, of tests/engine the core: under a minute."
        ),
    ] = False,
    yes: Yes = False,
) -> int:
    """Run the linters and all tests; words after -- go to pytest."""
    from immutable_bench.rings import run_rings  # noqa: PLC0415 - `--help` is quick without it

    return run_rings(find_root(), context.args, fast=fast, yes=yes or Answers.yes)


def bench(
    stack: Stack = DEFAULT_STACK,
    *,
    only: Annotated[str, typer.Option(help="One measurement, by its name.")] = "",
    sequences: Annotated[
        int,
        typer.Option(help="Play this number of random sequences of changes and faults instead."),
    ] = 0,
    yes: Yes = False,
) -> int:
    """Measure, and compare with the goals."""
    from immutable_bench.bench import run_bench  # noqa: PLC0415
    from immutable_bench.sequences import run_sequences  # noqa: PLC0415

    if sequences:
        return run_sequences(find_root(), sequences, yes=yes or Answers.yes)
    return run_bench(find_root(), stack, only=only, yes=yes or Answers.yes)
