"""The commands that run the engine: `up`, `preview --diff`, `destroy`."""

from collections.abc import Sequence
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.consent import require_yes
from immutable_servers.driver.display import start_display
from immutable_servers.driver.expected import find_expected
from immutable_servers.driver.failed import follow
from immutable_servers.driver.outcome import find_error
from immutable_servers.driver.project import read_values
from immutable_servers.driver.results import Outcome, Serving, render_images
from immutable_servers.driver.runs import RunError, delete, remove
from immutable_servers.driver.setup.install import install_missing, render_seconds
from immutable_servers.driver.setup.table import list_asking_parts, list_parts
from immutable_servers.driver.stack import load_stack
from immutable_servers.errors import SettingsError
from immutable_servers.requests import Request

WORDS = {
    "create": "made",
    "replace": "replaced",
    "update": "changed",
    "delete": "deleted",
    "same": "unchanged",
}
"""What happened to resources, in the order in which it is said."""


def run_up(
    root: Path, name: str, *, yes: bool, request: Request | None = None, command: str = ""
) -> int:
    """Set up what is missing, run `pulumi up`, and print what serves."""
    command = command or f"up {name}"
    target = str(read_values(root, name).get("target", ""))
    require_yes(target, name, command, yes=yes)
    install_missing(list_parts(target, acts=True), yes=yes)
    try:
        with start_display(find_expected(root, name)) as display:
            done = follow(root, name, display, request)
    except RunError as error:
        return fail(error)
    say_summary(done)
    show_services(done.services)
    return 0


def run_diff(root: Path, name: str, *, yes: bool) -> int:
    """Show the engine's own text of a preview, each changed input in it."""
    target = str(read_values(root, name).get("target", ""))
    install_missing(list_parts(target, acts=False), yes=yes)
    done = load_stack(root, name).run("preview", "--diff", config=True)
    console.show(done.stdout.rstrip())
    if done.returncode:
        console.say(done.stderr.rstrip())
        found = find_error(done.stderr)
        return found.exit_code if found else 1
    return 0


def run_destroy(root: Path, name: str, *, and_stack: bool, yes: bool) -> int:
    """Ask, lift the protection, and delete everything of a stack; images stay.

    Raises:
        SettingsError: Nobody can be asked, and nobody said yes.
    """
    load_stack(root, name)
    if not yes:
        if not console.is_interactive():
            raise SettingsError(
                f"Destroying the stack {name} needs a yes",
                todo=f"When you mean it, type: ./immutable destroy {name} --yes",
            )
        if not console.ask(f"Delete every server and the balancer of {name}? Images stay."):
            console.say("Nothing was deleted")
            return 1
    target = str(read_values(root, name).get("target", ""))
    install_missing(list_asking_parts(target), yes=yes)
    try:
        with start_display({}) as display:
            done = delete(root, name, display)
    except RunError as error:
        return fail(error)
    say_summary(done)
    if and_stack:
        remove(root, name)
        console.say(f"The stack {name} is removed")
    return 0


def fail(error: RunError) -> int:
    """Print the errors of a run, each in its three parts; return the exit code."""
    for each in error.errors:
        console.fail(each)
    return error.exit_code


def say_summary(done: Outcome) -> None:
    """Say how long the run took, what it did, and how long each phase took."""
    console.say(f"Done in {render_seconds(done.seconds)}: {render_changes(done)}")
    phases = [
        f"{phase} {render_seconds(seconds)}"
        for phase, seconds in done.phases.items()
        if seconds >= 1
    ]
    if phases:
        console.say(f"  {', '.join(phases)}")


def render_changes(done: Outcome) -> str:
    """Return what happened to how many resources."""
    if not done.changed:
        return "nothing to do"
    counts = {WORDS.get(kind, kind): count for kind, count in done.changes.items()}
    return ", ".join(f"{counts[word]} {word}" for word in WORDS.values() if counts.get(word))


def show_services(services: Sequence[Serving]) -> None:
    """Print what serves: service, address, live generation, image versions, servers."""
    rows = [
        (
            service.service,
            service.address,
            service.generation,
            render_images(service.images),
            f"{service.servers}",
        )
        for service in services
    ]
    if rows:
        console.show_table("", ("service", "address", "generation", "images", "servers"), rows)
