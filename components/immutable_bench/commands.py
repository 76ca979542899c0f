"""The commands that only a checkout has: `test` and `bench`."""

from typing import Annotated

import typer

from immutable_servers.driver.options import DEFAULT_STACK, Answers, Stack, Yes
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
            "--fast", help="No machines, no clouds, of tests/engine the core: some five minutes."
        ),
    ] = False,
    product: Annotated[
        bool,
        typer.Option("--product", help="As the product's own CI: every target, and the sample."),
    ] = False,
    yes: Yes = False,
) -> int:
    """Check your application, and run the product's tests; words after -- go to pytest."""
    from immutable_bench.rings import run_rings  # noqa: PLC0415 - `--help` is quick without it

    return run_rings(find_root(), context.args, fast=fast, product=product, yes=yes or Answers.yes)


def bench(
    stack: Stack = DEFAULT_STACK,
    *,
    only: Annotated[str, typer.Option(help="One measurement, by its name.")] = "",
    sequences: Annotated[
        int,
        typer.Option(help="Play this number of random sequences of changes and faults instead."),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="With --sequences: the seed to play again.", min=0)
    ] = None,
    from_stack: Annotated[
        str, typer.Option(help="With --sequences: begin with this stack's ledger.")
    ] = "",
    slow_nodes: Annotated[
        bool,
        typer.Option(
            "--slow-nodes", help="Load the emulated clouds instead, whose balancers follow late."
        ),
    ] = False,
    yes: Yes = False,
) -> int:
    """Measure, and compare with the goals."""
    from immutable_bench.bench import run_bench  # noqa: PLC0415
    from immutable_bench.sequences import run_sequences  # noqa: PLC0415
    from immutable_bench.slow_nodes import run_slow_nodes  # noqa: PLC0415

    if slow_nodes:
        return run_slow_nodes(find_root(), yes=yes or Answers.yes)
    if sequences:
        return run_sequences(find_root(), sequences, seed=seed, stack=from_stack)
    return run_bench(find_root(), stack, only=only, yes=yes or Answers.yes)
