"""Lists the commands and runs one; each imports what it needs itself, so `--help` is quick."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from immutable_servers.driver import stack_commands, upkeep_commands
from immutable_servers.driver.examples import render_examples
from immutable_servers.driver.grammar import RestCommand, StackCommand
from immutable_servers.driver.options import Answers, Yes
from immutable_servers.driver.project.files import CHECKOUT, find_root
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.system import places
from immutable_servers.system.full_disk import find_full_disk
from immutable_servers.system.unfit_places import refuse_unfit_places

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


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        import tomllib  # noqa: PLC0415 - for this only

        read = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
        console.show(f"immutable-servers {read['project']['version']}")
        raise typer.Exit


@app.callback()
def begin(
    *,
    yes: Yes = False,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options that all commands share; refuse unfit folders, and close ours to others."""
    Answers.yes = yes
    root = find_root()
    if (root / places.PROJECT_FILE).exists():
        refuse_unfit_places(root)
        places.make_private_places(root)


for _command in (  # in the order of `--help`
    stack_commands.up,
    stack_commands.preview,
    stack_commands.destroy,
    stack_commands.rollback,
    stack_commands.resume,
    stack_commands.replace,
    stack_commands.retire,
    stack_commands.status,
    upkeep_commands.sweep,
    upkeep_commands.prune,
    stack_commands.verify,
    stack_commands.shell,
    stack_commands.logs,
    upkeep_commands.doctor,
    upkeep_commands.env,
    upkeep_commands.update,
):
    app.command()(_command)


def _add_checkout_commands() -> None:
    """Add `test` and `bench` in a checkout; the package that holds them is in no wheel."""
    if find_spec("immutable_bench"):
        import_module("immutable_bench.commands").register(app)


_add_checkout_commands()
for _info in app.registered_commands:
    _info.cls = RestCommand if _info.callback is stack_commands.shell else StackCommand
    _info.epilog = render_examples(str(_info.name or getattr(_info.callback, "__name__", "")))


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code, without a traceback."""
    if not words:
        run(["--help"])
        return USAGE
    if words[0] == "help":
        words = [*words[1:2], "--help"]
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
    """Run the driver as a program; a stream that its caller closed is an empty one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - open to the end
    sys.exit(run(sys.argv[1:]))
