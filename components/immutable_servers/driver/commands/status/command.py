"""`status`: reads what exists and serves, and prints it; changes nothing."""

from immutable_servers.driver.commands.preview.command import STDOUT, render_json, write_data
from immutable_servers.driver.commands.status.collect import collect
from immutable_servers.driver.commands.status.lost import collect_lost
from immutable_servers.driver.commands.status.models import DIFFERS, StackStatus
from immutable_servers.driver.commands.status.text import COLUMNS, render_lines, render_rows
from immutable_servers.driver.engine.outputs import (
    read_outputs,
    read_state_outputs,
    read_state_verdicts,
)
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_asking_parts
from immutable_servers.driver.terminal import console


def show_status(stack: Opened, *, json: str, exact: bool) -> int:
    """Print a stack's status; with `exact` return 20 when something differs.

    Args:
        stack: The stack.
        json: File for the data, `-` for stdout; empty for none.
        exact: Return another code when something was changed by hand or is not healthy.

    Raises:
        ImmutableError: The stack, its ledger or its target cannot be read.
    """
    install_missing(list_asking_parts(stack.known_target), yes=False)
    status = read_status(stack)
    if json != STDOUT:
        show(status)
    if json:
        write_data(json, render_json(status))
    return DIFFERS if exact and status.differs else 0


def read_status(stack: Opened) -> StackStatus:
    """Read a stack's ledger, and ask its target; nothing is changed.

    Raises:
        ImmutableError: The stack, its ledger or its target cannot be read.
    """
    # The file first: it is read in no time, and the CLI takes a second.
    outputs = read_state_outputs(stack.root, stack.name)
    if outputs is None:
        outputs = read_outputs(stack.engine)
    verdicts = read_state_verdicts(stack.root, stack.name)
    return collect(stack, outputs, verdicts) if outputs else collect_lost(stack, verdicts)


def show(status: StackStatus) -> None:
    """Print a status for a reader."""
    if not status.services:
        console.say(f"The stack {status.stack} holds nothing: ./immutable up {status.stack}")
        for note in status.notes:
            console.say(note)
        return
    console.show_table("", COLUMNS, list(render_rows(status)))
    for line in render_lines(status):
        console.show(line)
