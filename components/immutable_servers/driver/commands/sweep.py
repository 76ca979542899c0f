"""`sweep`: lists what no stack owns, and removes it when a person agrees."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from immutable_servers.contract.ownership import Ask, Leftover
from immutable_servers.contract.target import Target
from immutable_servers.driver.commands.left_in_project import find_in_project, remove_from_project
from immutable_servers.driver.commands.without_file import WITHOUT_FILE, find_stacks, remove_stack
from immutable_servers.driver.engine.holdings import start_asking
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.errors import ImmutableError, SettingsError

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Sweep:
    """Finds leftovers at a target and in this checkout, and removes them."""

    root: Path
    target: Target
    ask: Ask

    def find(self) -> list[Leftover]:
        """Return the leftovers, the target's first."""
        return [
            *self.target.ownership.find_leftovers(self.ask),
            *find_stacks(self.root),
            *find_in_project(self.root),
        ]

    def remove(self, leftover: Leftover) -> bool:
        """Check a leftover again and remove it; return whether it was removed."""
        if leftover.kind == WITHOUT_FILE:
            return remove_stack(self.root, leftover.name)
        removed = remove_from_project(self.root, leftover)
        return (
            self.target.ownership.remove_leftover(leftover, self.ask)
            if removed is None
            else removed
        )


def run_sweep(stack: Opened, also: Sequence[str], *, dry_run: bool, yes: bool) -> int:
    """List leftovers; after a yes remove those that are sure, and those that `also` names.

    Raises:
        SettingsError: Something named is not left over, or no person can be asked for a yes.
        ImmutableError: Something could not be removed.
    """
    install_missing(list_asking_parts(stack.place.target), yes=yes)
    os.environ.update(stack.engine.environment)
    sweep = Sweep(stack.root, stack.target, start_asking(stack.engine))
    found = sweep.find()
    chosen = choose(found, also)
    if not found:
        console.say("Nothing is left over")
        return 0
    console.show_table("", ("kind", "name", "size", "why"), [render(one) for one in found])
    _say_unsure(found, chosen)
    if dry_run or not chosen:
        return 0
    if not confirm(chosen, yes=yes):
        return 1
    remove_all(sweep.remove, chosen)
    return 0


def choose(found: Sequence[Leftover], also: Sequence[str]) -> list[Leftover]:
    """Return the leftovers to remove: those that are sure, and those that are named.

    Raises:
        SettingsError: A name is no leftover's.
    """
    unknown = [name for name in also if name not in {one.name for one in found}]
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)} is not left over",
            facts=[f"left over: {one.name} ({one.kind})" for one in found] or ["Nothing is."],
            todo="Name one as `./immutable sweep` lists it.",
        )
    return [one for one in found if one.sure or one.name in also]


def confirm(chosen: Sequence[Leftover], *, yes: bool) -> bool:
    """Ask whether these are removed.

    Raises:
        SettingsError: No person can be asked.
    """
    if yes:
        return True
    if not console.is_interactive():
        raise SettingsError(
            f"Removing {_count(chosen)} needs a yes",
            todo="Add --yes when you mean it, or --dry-run to list only.",
        )
    if console.ask(f"Remove {_count(chosen)}?"):
        return True
    console.say("Nothing was removed")
    return False


def remove_all(remove: Callable[[Leftover], bool], chosen: Sequence[Leftover]) -> None:
    """Remove one after the other; a failure does not stop the others.

    Raises:
        ImmutableError: The first failure's branch, with all of them.
    """
    failures: list[ImmutableError] = []
    for one in chosen:
        try:
            removed = remove(one)
        except ImmutableError as error:
            failures.append(error)
            continue
        word = "removed" if removed else "not left over any more"
        console.say(f"{one.kind} {one.name}: {word}")
    if failures:
        facts = [f"{error.what}: {fact}" for error in failures for fact in error.facts or [""]]
        raise type(failures[0])("Not all could be removed", facts=facts, todo=failures[0].todo)


def _say_unsure(found: Sequence[Leftover], chosen: Sequence[Leftover]) -> None:
    left = [one for one in found if one not in chosen]
    if left:
        console.say(f"{_count(left)} may belong to somebody and stay; to remove one: --also NAME")


def render(leftover: Leftover) -> Sequence[str]:
    """Return a row for a leftover."""
    size = f"{leftover.size / MEGABYTE:.1f} MB" if leftover.size else ""
    mark = "" if leftover.sure else " (stays)"
    return (leftover.kind, f"{leftover.name}{mark}", size, leftover.why)


def _count(leftovers: Sequence[Leftover]) -> str:
    size = sum(one.size for one in leftovers)
    things = f"{len(leftovers)} thing{'' if len(leftovers) == 1 else 's'}"
    return f"{things} of {size / MEGABYTE:.1f} MB" if size else things
