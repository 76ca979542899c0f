"""`destroy`: deletes a stack, or one service that its settings no longer name; images stay."""

from collections.abc import Iterator, Sequence

from immutable_servers.contract.location import MACHINE
from immutable_servers.driver.commands.up import fail, run_up, say_summary
from immutable_servers.driver.engine.outputs import read_outputs
from immutable_servers.driver.engine.results import find_serving
from immutable_servers.driver.engine.updates import RunError, delete, remove, unprotect
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import ENGINE, list_asking_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.display import start_display
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.ledger.reader import OUTPUT, parse_ledgers
from immutable_servers.planning.moved import refuse_moved
from immutable_servers.planning.requests import Request
from immutable_servers.verification.report import count

POINTER = "immutable-servers:index:Service$pulumi-python:dynamic/immutable-servers:Traffic"
"""The type of a service's pointer, as URNs have it."""


def run_destroy(stack: Opened, *, and_stack: bool, yes: bool) -> int:
    """Ask, remove the protection, and delete everything of a stack; images stay.

    Raises:
        SettingsError: There is no such stack, or no person can be asked for a yes.
        SetupError: What asks the stack and its target is missing, and was not installed.
    """
    install_missing(list_asking_parts(stack.known_target), yes=yes)
    refuse_other_machine(stack)
    if not yes and not _is_confirmed(
        f"Destroying the stack {stack.name}",
        f"When you mean it, type: ./immutable destroy {stack.name} --yes",
        f"Delete every server and the balancer of {stack.name}? Images stay.",
        list(describe_loss(stack)),
    ):
        return 1
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


def describe_loss(stack: Opened) -> Iterator[str]:
    """Yield lines for each service: how many servers go, and the address that goes dark.

    What cannot be asked is left out; the question is asked all the same.
    """
    try:
        outputs = read_outputs(stack.engine)
        addresses = {one.service: one.address for one in find_serving(outputs.get("services"))}
        for name in parse_ledgers(outputs.get(OUTPUT)):
            fleets = stack.target.fleets.find(stack.place.of(name).scope).values()
            running = count(sum(fleet.running for fleet in fleets), "running server")
            yield f"{name}: {running} in {count(len(fleets), 'generation')}"
            if addresses.get(name):
                yield f"{name}: nothing answers at {addresses[name]} any more"
    except ImmutableError:
        return


def refuse_other_machine(stack: Opened) -> None:
    """Refuse to delete from this machine what runs on another one: it would only be forgotten.

    All else is deleted where the state says that it is, whatever the settings name now.

    Raises:
        SettingsError: The servers run on another machine.
    """
    try:
        here = stack.target.find_location(ask=False)
        ledgers = {
            name: ledger
            for name, ledger in stack.read_ledgers().items()
            if ledger.place and ledger.place.find_difference(here) == {MACHINE}
        }
    except ImmutableError:  # Broken settings or an unreadable ledger keep nobody from deleting.
        return
    if ledgers:
        refuse_moved(stack.place, stack.target, ledgers)


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
    unprotect(stack.engine, urn)
    return run_up(stack, yes=True, request=Request(given_up=[service], others_stay=True))


def _is_confirmed(deletion: str, todo: str, question: str, loss: Sequence[str] = ()) -> bool:
    """Ask whether to go on, after saying what is lost.

    Raises:
        SettingsError: No person can be asked.
    """
    if not console.is_interactive():
        raise SettingsError(f"{deletion} needs a yes", facts=loss, todo=todo)
    for line in loss:
        console.say(line)
    if console.ask(question):
        return True
    console.say("Nothing was deleted")
    return False
