"""The commands that run the engine: `up`, `preview`, `destroy`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.driver import console
from immutable_servers.driver.engine import Ended, run_engine
from immutable_servers.driver.outcome import find_error
from immutable_servers.driver.project import read_values
from immutable_servers.driver.reporter import Reporter
from immutable_servers.driver.setup.install import install_missing, render_seconds
from immutable_servers.driver.setup.table import ENGINE, list_parts
from immutable_servers.driver.stack import load_stack
from immutable_servers.errors import ImmutableError, SettingsError


def run_up(root: Path, name: str, *, yes: bool, targets: Sequence[str] = ()) -> int:
    """Set up what is missing, run `pulumi up`, and print what serves.

    With `targets`, patterns of URNs, the engine looks at nothing else.
    """
    target = str(read_values(root, name).get("target", ""))
    install_missing(list_parts(target, acts=True), yes=yes)
    reporter = Reporter(console.say)
    words = ["up", "--yes", "--skip-preview", *(f"--target={pattern}" for pattern in targets)]
    ended = run_engine(load_stack(root, name), words, reporter)
    if ended.code:
        return _fail(ended, reporter)
    _say_summary(reporter)
    show_services(reporter.outputs.get("services"))
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


def run_destroy(root: Path, name: str, *, remove: bool, yes: bool) -> int:
    """Ask, lift the protection, and delete everything of a stack; images stay.

    Raises:
        SettingsError: Nobody can be asked, and nobody said yes.
    """
    stack = load_stack(root, name)
    if not yes:
        if not console.is_interactive():
            raise SettingsError(
                f"Destroying the stack {name} needs a yes", todo="Add --yes when you mean it."
            )
        if not console.ask(f"Delete every server and the balancer of {name}? Images stay."):
            console.say("Nothing was deleted")
            return 1
    install_missing(ENGINE, yes=yes)
    stack.run("state", "unprotect", "--all", "--yes")
    reporter = Reporter(console.say)
    ended = run_engine(stack, ["destroy", "--yes", "--skip-preview"], reporter)
    if ended.code:
        return _fail(ended, reporter)
    _say_summary(reporter)
    if remove:
        done = stack.run("stack", "rm", "--yes", "--preserve-config")
        if done.returncode:
            raise find_error(done.stderr) or ImmutableError(
                f"The stack {name} is empty and could not be removed",
                facts=done.stderr.splitlines(),
            )
        console.say(f"The stack {name} is removed")
    return 0


def _fail(ended: Ended, reporter: Reporter) -> int:
    """Print the errors of a run, ours in their three parts; return the exit code."""
    said = reporter.render_errors()
    if not said:
        told = "\n".join(ended.told)
        known = find_error(told)
        said = [
            console.render_error(known)
            if known
            else told or "The engine failed and did not say why."
        ]
    for text in said:
        console.say(console.paint_error(text))
    if ended.code == console.INTERRUPTED:
        console.say("Interrupted: what was under way has ended, and the next run goes on from here")
    return ended.code


def _say_summary(reporter: Reporter) -> None:
    took = render_seconds(time.monotonic() - reporter.began)
    console.say(f"Done in {took}: {reporter.render_changes()}")
    phases = reporter.render_phases()
    if phases:
        console.say(f"  {phases}")


def show_services(services: Any) -> None:  # noqa: ANN401 - a stack output, not ours to trust
    """Print what serves: service, address, live generation, image versions, servers."""
    if not isinstance(services, Mapping):
        return
    rows = [
        (
            str(name),
            str(service.get("address", "")),
            str(service.get("live", "")),
            _render_images(service.get("images")),
            f"{service.get('servers', 0):.0f}",
        )
        for name, service in services.items()
        if isinstance(service, Mapping)
    ]
    if rows:
        console.show_table("", ("service", "address", "generation", "images", "servers"), rows)


def _render_images(images: Any) -> str:  # noqa: ANN401 - a stack output
    if not isinstance(images, Mapping):
        return ""
    return ", ".join(f"{image} {version}" for image, version in images.items())
