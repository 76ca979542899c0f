"""`destroy --service`: deletes one service that the settings no longer name; its images stay."""

from pathlib import Path

from immutable_servers.driver.commands.up import fail, run_up, say_summary
from immutable_servers.driver.engine.stack import load_stack
from immutable_servers.driver.engine.updates import RunError, delete, remove
from immutable_servers.driver.project.files import read_project, read_values
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import ENGINE, list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.display import start_display
from immutable_servers.errors import SettingsError
from immutable_servers.planning.requests import Request

POINTER = "immutable-servers:index:Service$pulumi-python:dynamic/immutable-servers:Traffic"


def run_give_up(root: Path, name: str, service: str, *, yes: bool) -> int:
    """Ask, lift the protection of the service's pointer, and update without the service.

    Raises:
        SettingsError: The settings still name it, or nobody can be asked and nobody said yes.
    """
    if service in (read_values(root, name).get("services") or {}):
        raise SettingsError(
            f"The settings of {name} name the service {service}, so it is not deleted",
            todo="Take it out of the stack file first; that can be reviewed, and reverted.",
        )
    if not yes:
        if not console.is_interactive():
            raise SettingsError(
                f"Deleting the service {service} needs a yes", todo="Add --yes when you mean it."
            )
        if not console.ask(f"Delete every server of {service} in {name}? Images stay."):
            console.say("Nothing was deleted")
            return 1
    install_missing(ENGINE, yes=yes)
    project = str(read_project(root).get("name", ""))
    urn = f"urn:pulumi:{name}::{project}::{POINTER}::{service}"
    load_stack(root, name).run("state", "unprotect", urn, "--yes")
    request = Request(given_up=[service], others_stay=True)
    return run_up(root, name, yes=True, request=request)


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
