"""Arguments and options that several commands share, and what they mean."""

from typing import TYPE_CHECKING, Annotated

import typer

from immutable_servers.driver.project.files import find_root
from immutable_servers.errors import SettingsError

if TYPE_CHECKING:
    from immutable_servers.driver.opened import Opened

DEFAULT_STACK = "dev"
NO_WAIT = "0s"

Stack = Annotated[str, typer.Argument(metavar="STACK", help="The stack's name.")]
StackOption = Annotated[str, typer.Option("--stack", help="The stack's name.")]
Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Wait = Annotated[
    str, typer.Option("--wait", metavar="TIME", help="Wait for another run of the stack.")
]


class Answers:
    """The options that hold for all commands of this run."""

    yes = False


def open_stack(stack: str, wait: str = NO_WAIT) -> "Opened":
    """Return the stack that a command is run on; its files are read when they are needed."""
    from immutable_servers.driver.opened import Opened  # noqa: PLC0415 - `--help` is quick without it

    return Opened(find_root(), stack, read_time("--wait", wait))


def read_time(option: str, text: str) -> float:
    """Return the seconds that an option names.

    Raises:
        SettingsError: It is no duration.
    """
    from immutable_servers.settings.durations import parse_duration  # noqa: PLC0415 - as above

    try:
        return parse_duration(text)
    except ValueError as error:
        todo = f"Write a number with its unit, such as in: {option} 10m"
        raise SettingsError(f"{option} {text}: {error}", todo=todo) from error
