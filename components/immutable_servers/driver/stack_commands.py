"""Commands on a stack, as typed: what it runs, shows and tries.

Each imports what it needs when it runs (`cli.py`).
"""

from typing import Annotated

import typer

from immutable_servers.driver.grammar import RestCommand
from immutable_servers.driver.options import (
    DEFAULT_STACK,
    NO_WAIT,
    Answers,
    Service,
    Stack,
    StackOption,
    Wait,
    Yes,
    open_stack,
)
from immutable_servers.driver.project.files import find_root
from immutable_servers.errors import SettingsError


def up(stack: Stack = DEFAULT_STACK, *, wait: Wait = NO_WAIT, yes: Yes = False) -> int:
    """Bake, launch, verify and serve what the checkout says."""
    from immutable_servers.driver.commands.up import run_up  # noqa: PLC0415 - see the module's docstring

    return run_up(open_stack(stack, wait), yes=yes or Answers.yes)


def preview(
    stack: Stack = DEFAULT_STACK,
    *,
    every: Annotated[bool, typer.Option("--all", help="Preview every stack.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the catalog, the target or the engine.")
    ] = False,
    markdown: Annotated[
        str, typer.Option(metavar="FILE", help="Write the comment for a pull request.")
    ] = "",
    json: Annotated[
        str, typer.Option(metavar="FILE|-", help="Write the data (preview.schema.json).")
    ] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 20 for changes, 0 for nothing to do.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show each changed input.")] = False,
    yes: Yes = False,
) -> int:
    """Show what `up` would do and why; change nothing."""
    if diff:
        if every or offline or markdown or json or exit_code:
            raise SettingsError(
                "`--diff` shows the engine's own text, and goes with no other flag but --yes",
                todo="Leave it out, or run it alone.",
            )
        from immutable_servers.driver.commands.preview.command import run_diff  # noqa: PLC0415

        return run_diff(open_stack(stack), yes=yes or Answers.yes)
    from immutable_servers.driver.commands.preview.command import Wanted, run_preview  # noqa: PLC0415

    wanted = Wanted(every, offline, exit_code, markdown, json, yes or Answers.yes)
    return run_preview(find_root(), stack, wanted)


def destroy(
    stack: Stack = DEFAULT_STACK,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Also remove the empty stack.")] = False,
    service: Annotated[
        str, typer.Option(help="Delete only this service, which the settings no longer name.")
    ] = "",
    wait: Wait = NO_WAIT,
    yes: Yes = False,
) -> int:
    """Delete everything of a stack; images stay."""
    from immutable_servers.driver.commands.destroy import (  # noqa: PLC0415
        run_destroy,
        run_destroy_service,
    )

    if service:
        return run_destroy_service(open_stack(stack, wait), service, yes=yes or Answers.yes)
    return run_destroy(open_stack(stack, wait), and_stack=remove, yes=yes or Answers.yes)


def rollback(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    to: Annotated[str, typer.Option(help="The generation; by default the last that served.")] = "",
    why: Annotated[
        str, typer.Option(help="Required: the reason, which is kept with the pin.")
    ] = "",
    across: Annotated[
        bool,
        typer.Option("--across-data-version", help="Go back although the data version differs."),
    ] = False,
    wait: Wait = NO_WAIT,
    yes: Yes = False,
) -> int:
    """Go back to an earlier generation at once, and stay there until `resume`."""
    from immutable_servers.driver.commands.rollback import run_rollback  # noqa: PLC0415

    opened, yes = open_stack(stack, wait), yes or Answers.yes
    opened.require_file()
    if not why:
        raise SettingsError("Missing option '--why'", todo="see `./immutable rollback --help`.")
    return run_rollback(opened, service, to, why, across=across, yes=yes)


def resume(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    now: Annotated[bool, typer.Option("--now", help="Also take what the rollback left.")] = False,
    wait: Wait = NO_WAIT,
    yes: Yes = False,
) -> int:
    """Follow the source again after a `rollback`."""
    from immutable_servers.driver.commands.rollback import run_resume  # noqa: PLC0415

    return run_resume(open_stack(stack, wait), service, now=now, yes=yes or Answers.yes)


def replace(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    why: Annotated[str, typer.Option(help="The reason, which the run shows.")] = "asked for",
    wait: Wait = NO_WAIT,
    yes: Yes = False,
) -> int:
    """Replace a service's live generation: the same image on new servers."""
    from immutable_servers.driver.commands.rollback import run_replace  # noqa: PLC0415

    return run_replace(open_stack(stack, wait), service, why, yes=yes or Answers.yes)


def retire(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    wait: Wait = NO_WAIT,
    yes: Yes = False,
) -> int:
    """Retire the standbys whose time is over, and touch nothing else."""
    from immutable_servers.driver.commands.retire import run_retire  # noqa: PLC0415

    return run_retire(open_stack(stack, wait), service, yes=yes or Answers.yes)


def status(
    stack: Stack = DEFAULT_STACK,
    *,
    json: Annotated[
        str, typer.Option(metavar="FILE|-", help="Write the data (status.schema.json).")
    ] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 20 for what differs or is not healthy.")
    ] = False,
) -> int:
    """Show what exists, what serves and what was changed by hand, as the target says."""
    from immutable_servers.driver.commands.status.command import show_status  # noqa: PLC0415

    return show_status(open_stack(stack), json=json, exact=exit_code)


def verify(
    service: Service = "",
    *,
    stack: StackOption = DEFAULT_STACK,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server open.")] = False,
    yes: Yes = False,
) -> int:
    """Run the checks on one server of the checkout's image; move no traffic."""
    from immutable_servers.driver.commands.verify import run_verify  # noqa: PLC0415

    return run_verify(open_stack(stack), service, keep=keep, yes=yes or Answers.yes)


def shell(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="IMAGE[@VERSION]", help="Without a version, the checkout's.")
    ],
    stack: Stack = DEFAULT_STACK,
    *,
    yes: Yes = False,
) -> int:
    """Log in to a new server of an image, without traffic; words after -- are run there."""
    from immutable_servers.driver.commands.shell import run_shell  # noqa: PLC0415

    command = context.meta[RestCommand.__name__]
    return run_shell(open_stack(stack), what, command, yes=yes or Answers.yes)


def logs(
    service: Service = "",
    *,
    stack: StackOption = DEFAULT_STACK,
    generation: Annotated[str, typer.Option(help="The generation; by default the live one.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing until Ctrl-C.")
    ] = False,
) -> int:
    """Print the console logs of a service's servers."""
    from immutable_servers.driver.commands.logs import run_logs  # noqa: PLC0415

    return run_logs(open_stack(stack), service, generation, follow=follow)
