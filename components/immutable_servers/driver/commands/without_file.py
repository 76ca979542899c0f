"""Finds stacks that a state holds and that have no file, and deletes one with its state."""

from collections.abc import Iterator
from pathlib import Path

from immutable_servers.contract.ownership import Leftover
from immutable_servers.driver.commands.destroy import refuse_other_machine
from immutable_servers.driver.engine.remembered import find_without_file
from immutable_servers.driver.engine.updates import delete, remove
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.terminal.display import Plain

WITHOUT_FILE = "stack without a file"


def find_stacks(root: Path) -> Iterator[Leftover]:
    """Yield them; none is sure, as its file may be on another branch."""
    for name, resources in find_without_file(root):
        why = f"its state holds {resources} resources; `./immutable status {name}` shows them"
        yield Leftover(WITHOUT_FILE, name, why, sure=False)


def remove_stack(root: Path, name: str) -> bool:
    """Delete all of a stack but its images, and its state; return whether it has no file still.

    Raises:
        ImmutableError: The run failed; what is not deleted is still in the state.
    """
    stack = Opened(root, name)
    if stack.remembered is None:
        return False
    refuse_other_machine(stack)
    delete(stack.engine, Plain({}))
    remove(stack.engine)
    return True
