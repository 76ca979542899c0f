"""The command `status`: reads, prints, and changes nothing."""

from pathlib import Path

from immutable_servers.contract.values import Scope
from immutable_servers.driver.commands.preview.command import STDOUT, write_data
from immutable_servers.driver.commands.status.collect import collect
from immutable_servers.driver.commands.status.models import DIFFERS, StackStatus
from immutable_servers.driver.commands.status.text import COLUMNS, render_lines, render_rows
from immutable_servers.driver.engine.outputs import read_outputs, read_state_outputs
from immutable_servers.driver.project.files import read_project, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.settings import load_settings
from immutable_servers.targets.place import Place


def show_status(root: Path, name: str, *, json: str, exact: bool) -> int:
    """Print a stack's status; with `exact` exit 20 when it is not as it was made.

    Args:
        root: The project's folder.
        name: The stack.
        json: File for the data, `-` for stdout; empty for none.
        exact: Tell what differs from what is as it was made.

    Raises:
        ImmutableError: The stack, its ledger or its target cannot be read.
    """
    install_missing(list_asking_parts(str(read_values(root, name).get("target", ""))), yes=False)
    status = read_status(root, name)
    if json != STDOUT:
        show(status)
    if json:
        write_data(json, status.model_dump_json(indent=2) + "\n")
    return DIFFERS if exact and status.differs else 0


def read_status(root: Path, name: str) -> StackStatus:
    """Read a stack's ledger, and ask its target; nothing is changed.

    Raises:
        ImmutableError: The stack, its ledger or its target cannot be read.
    """
    values = read_values(root, name)
    scope = Scope(str(read_project(root).get("name", "")), name)
    outputs = read_state_outputs(root, name)  # a file is read in no time; the CLI takes a second
    if outputs is None:
        outputs = read_outputs(root, name)
    if not outputs:
        target = str(values.get("target", ""))
        return StackStatus(stack=name, project=scope.project, target=target)
    settings = load_settings(values, root)
    place = Place(settings.target, settings.target_settings, scope)
    return collect(root, settings, place, place.load(), outputs)


def show(status: StackStatus) -> None:
    """Print a status for a reader."""
    if not status.services:
        console.say(f"The stack {status.stack} holds nothing: ./immutable up {status.stack}")
        return
    console.show_table("", COLUMNS, list(render_rows(status)))
    for line in render_lines(status):
        console.show(line)
