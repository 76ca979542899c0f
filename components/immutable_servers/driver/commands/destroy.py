"""`destroy`: deletes a stack, or one service that its settings no longer name; images stay."""

from immutable_servers.driver.commands.up import fail, run_up, say_summary
from immutable_servers.driver.engine.updates import RunError, delete, remove
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import ENGINE, list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.display import start_display
from immutable_servers.errors import SettingsError
from immutable_servers.planning.requests import Request

POINTER = "immutable-servers:index:Service$pulumi-python:dynamic/immutable-servers:Traffic"
"""The type of a service's pointer, as URNs have it."""


def run_destroy(stack: Opened, *, and_stack: bool, yes: bool) -> int:
    """Ask, remove the protection, and delete everything of a stack; images stay.

    Raises:
        SettingsError: There is no such stack, or no person can be asked for a yes.
    """
    parts = list_asking_parts(stack.target_name)
    if not yes and not _is_confirmed(
        f"Destroying the stack {stack.name}",
        f"When you mean it, type: ./immutable destroy {stack.name} --yes",
        f"Delete every server and the balancer of {stack.name}? Images stay.",
    ):
        return 1
    install_missing(parts, yes=yes)
    try:
        with start_display({}) as display:
            done = delete(stack.engine, display)
    except RunError as error:
        return fail(error)
    say_summary(done)
    if and_stack:
        remove(stack.engine)
        console.say(f"The stack {stack.name} is removed")
    return 0


def run_destroy_service(stack: Opened, service: str, *, yes: bool) -> int:
    """Ask, remove the protection of a service's pointer, and update without the service.

    Raises:
        SettingsError: The settings still name it, or no person can be asked for a yes.
    """
    if service in (stack.values.get("services") or {}):
        raise SettingsError(
            f"The settings of {stack.name} name the service {service}, so it is not deleted",
            todo="Take it out of the stack file first; that can be reviewed, and reverted.",
        )
    if not yes and not _is_confirmed(
        f"Deleting the service {service}",
        "Add --yes when you mean it.",
        f"Delete every server of {service} in {stack.name}? Images stay.",
    ):
        return 1
    install_missing(ENGINE, yes=yes)
    urn = f"urn:pulumi:{stack.name}::{stack.scope.project}::{POINTER}::{service}"
    stack.engine.run("state", "unprotect", urn, "--yes")
    return run_up(stack, yes=True, request=Request(given_up=[service], others_stay=True))


def _is_confirmed(deletion: str, todo: str, question: str) -> bool:
    """Ask whether to go on.

    Raises:
        SettingsError: No person can be asked.
    """
    if not console.is_interactive():
        raise SettingsError(f"{deletion} needs a yes", todo=todo)
    if console.ask(question):
        return True
    console.say("Nothing was deleted")
    return False
