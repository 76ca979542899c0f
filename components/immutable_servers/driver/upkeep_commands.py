"""Commands that keep target, checkout and machine in order, as typed.

Each imports what it needs when it runs (`cli.py`).
"""

from typing import Annotated

import typer

from immutable_servers.driver.options import (
    DEFAULT_STACK,
    Answers,
    Stack,
    Yes,
    open_stack,
    read_time,
)
from immutable_servers.driver.project.files import find_root
from immutable_servers.driver.terminal import console


def sweep(
    stack: Stack = DEFAULT_STACK,
    *,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also remove this, although its owner cannot be asked."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only.")] = False,
    yes: Yes = False,
) -> int:
    """List what no stack owns at a stack's target, and remove it when confirmed."""
    from immutable_servers.driver.commands.sweep import run_sweep  # noqa: PLC0415

    return run_sweep(open_stack(stack), also or (), dry_run=dry_run, yes=yes or Answers.yes)


def prune(
    stack: Stack = DEFAULT_STACK,
    *,
    keep: Annotated[int, typer.Option(min=0, help="Keep this number of each image's newest.")] = 3,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Keep what was baked since then.")
    ] = "1d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only.")] = False,
    yes: Yes = False,
) -> int:
    """List the images that nothing refers to, and delete them when confirmed."""
    from immutable_servers.driver.commands.prune import run_prune  # noqa: PLC0415
    from immutable_servers.images.pruning import Policy  # noqa: PLC0415

    policy = Policy(keep, read_time("--older-than", older_than))
    return run_prune(open_stack(stack), policy, dry_run=dry_run, yes=yes or Answers.yes)


def doctor(
    stack: Annotated[
        str, typer.Argument(metavar="STACK", help="Ask this stack's target, too.")
    ] = "",
    *,
    json: Annotated[
        str, typer.Option(metavar="FILE|-", help="Write the data (doctor.schema.json).")
    ] = "",
) -> int:
    """Show each tool that is needed; for a stack that is named, what its target lacks for it."""
    from immutable_servers.driver.commands.doctor.command import show_doctor  # noqa: PLC0415

    return show_doctor(open_stack(stack or DEFAULT_STACK), asks=bool(stack), json=json)


def env() -> int:
    """Print what plain `pulumi` needs, its Packer included: eval "$(./immutable env)"."""
    from immutable_servers.driver.engine.environment import compute_environment, render_exports  # noqa: PLC0415

    console.show_exactly(render_exports(compute_environment(find_root())))
    return 0


def update(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="One image only.")] = "",
    *,
    stack: Annotated[str, typer.Option(help="The stack whose target is asked.")] = DEFAULT_STACK,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Bake again although nothing is newer.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Look for newer upstream versions and write the lock files."""
    from immutable_servers.driver.commands.update import run_update  # noqa: PLC0415

    return run_update(open_stack(stack), image, rebuild=rebuild, yes=yes or Answers.yes)
