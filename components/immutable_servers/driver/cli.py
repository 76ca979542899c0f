"""Lists the commands; each imports what it needs when it runs, so that `--help` is quick."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from immutable_servers.driver.examples import render_examples
from immutable_servers.driver.project.files import CHECKOUT, find_root
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.system.files import find_full_disk

if TYPE_CHECKING:
    from immutable_servers.driver.opened import Opened

DEFAULT_STACK = "dev"
USAGE = SettingsError.exit_code
WIDTH = 104
"""Columns of a `--help` in a terminal that has them: no command's line is cut then."""

app = typer.Typer(
    name="immutable",
    help="Servers that are never changed, only replaced: bake, launch, verify, move traffic.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
Stack = Annotated[str, typer.Argument(metavar="STACK", help="The stack's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


class Answers:
    """The options that hold for all commands of this run."""

    yes = False


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        import tomllib  # noqa: PLC0415 - for this only

        read = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
        console.show(f"immutable-servers {read['project']['version']}")
        raise typer.Exit


def _open(stack: str) -> "Opened":
    """Return the stack that a command is run on; its files are read when they are needed."""
    from immutable_servers.driver.opened import Opened  # noqa: PLC0415 - see above

    return Opened(find_root(), stack)


@app.callback()
def begin(
    *,
    yes: Yes = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that all commands share."""
    Answers.yes = yes


@app.command()
def up(stack: Stack = DEFAULT_STACK, *, yes: Yes = False) -> int:
    """Bake, launch, verify and serve what the checkout says."""
    from immutable_servers.driver.commands.up import run_up  # noqa: PLC0415 - see the module's docstring

    return run_up(_open(stack), yes=yes or Answers.yes)


@app.command()
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

        return run_diff(_open(stack), yes=yes or Answers.yes)
    from immutable_servers.driver.commands.preview.command import Wanted, run_preview  # noqa: PLC0415

    wanted = Wanted(every, offline, exit_code, markdown, json, yes or Answers.yes)
    return run_preview(find_root(), stack, wanted)


@app.command()
def destroy(
    stack: Stack = DEFAULT_STACK,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Also remove the empty stack.")] = False,
    service: Annotated[
        str, typer.Option(help="Delete only this service, which the settings no longer name.")
    ] = "",
    yes: Yes = False,
) -> int:
    """Delete everything of a stack; images stay."""
    from immutable_servers.driver.commands.destroy import (  # noqa: PLC0415
        run_destroy,
        run_destroy_service,
    )

    if service:
        return run_destroy_service(_open(stack), service, yes=yes or Answers.yes)
    return run_destroy(_open(stack), and_stack=remove, yes=yes or Answers.yes)


StackOption = Annotated[str, typer.Option("--stack", help="The stack's name.")]
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service's name.")]


@app.command()
def rollback(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    to: Annotated[str, typer.Option(help="The generation; by default the newest standby.")] = "",
    why: Annotated[str, typer.Option(help="The reason, which is kept with the pin.")],
    across: Annotated[
        bool,
        typer.Option("--across-data-version", help="Go back although the data version differs."),
    ] = False,
    yes: Yes = False,
) -> int:
    """Go back to an earlier generation at once, and stay there until `resume`."""
    from immutable_servers.driver.commands.rollback import run_rollback  # noqa: PLC0415

    yes = yes or Answers.yes
    return run_rollback(_open(stack), service, to, why, across=across, yes=yes)


@app.command()
def resume(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Also take the version that the rollback left.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Follow the source again after a `rollback`."""
    from immutable_servers.driver.commands.rollback import run_resume  # noqa: PLC0415

    return run_resume(_open(stack), service, now=now, yes=yes or Answers.yes)


@app.command()
def replace(
    stack: Stack = DEFAULT_STACK,
    service: Service = "",
    *,
    why: Annotated[str, typer.Option(help="The reason, which the run shows.")] = "asked for",
    yes: Yes = False,
) -> int:
    """Replace a service's live generation: the same image on new servers."""
    from immutable_servers.driver.commands.rollback import run_replace  # noqa: PLC0415

    return run_replace(_open(stack), service, why, yes=yes or Answers.yes)


@app.command()
def retire(stack: Stack = DEFAULT_STACK, service: Service = "", *, yes: Yes = False) -> int:
    """Retire the standbys whose time is over, and touch nothing else."""
    from immutable_servers.driver.commands.retire import run_retire  # noqa: PLC0415

    return run_retire(_open(stack), service, yes=yes or Answers.yes)


@app.command()
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

    return show_status(_open(stack), json=json, exact=exit_code)


@app.command()
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

    return run_sweep(_open(stack), also or (), dry_run=dry_run, yes=yes or Answers.yes)


@app.command()
def verify(
    service: Service = "",
    *,
    stack: StackOption = DEFAULT_STACK,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server open.")] = False,
    yes: Yes = False,
) -> int:
    """Run the checks on one server of the checkout's image; move no traffic."""
    from immutable_servers.driver.commands.verify import run_verify  # noqa: PLC0415

    return run_verify(_open(stack), service, keep=keep, yes=yes or Answers.yes)


class RestCommand(TyperCommand):
    """A command that keeps the words after `--` apart from its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - its type is private to typer
        """Parse the words before `--`, and keep the others."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[RestCommand.__name__] = tuple(args[end + 1 :])
        return super().parse_args(ctx, args[:end])


@app.command(cls=RestCommand)
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
    return run_shell(_open(stack), what, command, yes=yes or Answers.yes)


@app.command()
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

    return run_logs(_open(stack), service, generation, follow=follow)


@app.command()
def doctor(stack: Stack = DEFAULT_STACK) -> int:
    """Show each tool that is needed, and how to install a missing one."""
    from immutable_servers.driver.commands.doctor import show_doctor  # noqa: PLC0415

    return show_doctor(_open(stack))


@app.command()
def env() -> int:
    """Print what plain `pulumi` needs, its Packer included: eval "$(./immutable env)"."""
    from immutable_servers.driver.engine.environment import compute_environment, render_exports  # noqa: PLC0415

    console.show(render_exports(compute_environment(find_root())))
    return 0


@app.command()
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

    return run_update(_open(stack), image, rebuild=rebuild, yes=yes or Answers.yes)


def _add_checkout_commands() -> None:
    """Add `test` and `bench` in a checkout; the package that holds them is in no wheel."""
    if find_spec("immutable_bench"):
        import_module("immutable_bench.commands").register(app)


_add_checkout_commands()
for _info in app.registered_commands:
    _info.epilog = render_examples(str(_info.name or getattr(_info.callback, "__name__", "")))


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code, without a traceback."""
    if not words:
        run(["--help"])
        return USAGE
    try:
        code = app(args=list(words), prog_name="immutable", standalone_mode=False)
        sys.stdout.flush()
    except ImmutableError as error:
        return console.fail(error)
    except typer.TyperException as error:
        console.say(f"error: {error.format_message()}")
        console.say(f"What to do: see `{' '.join(('./immutable', *_find_command(words)))} --help`.")
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        return console.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line before the user
        full = find_full_disk(error)
        return console.fail(full) if full else console.fail_unexpectedly(error, find_root())
    return code if isinstance(code, int) else 0


def _find_command(words: Sequence[str]) -> Sequence[str]:
    """Return the command in a command line; empty without one."""
    known = {
        info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands
    }
    return next(([word] for word in words if word in known), [])


def main() -> None:
    """Run the driver as a program."""
    sys.exit(run(sys.argv[1:]))
