"""`up`: updates a stack, removes failed candidates that are not to stay, and shows what serves."""

from collections.abc import Iterator, Mapping, Sequence

from immutable_servers.contract.values import Route
from immutable_servers.driver.commands.known import KnownStack, read_known
from immutable_servers.driver.engine.past_runs import find_expected
from immutable_servers.driver.engine.results import Outcome, Serving, render_images
from immutable_servers.driver.engine.updates import RunError, delete_generations, update
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.needs import list_parts
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.consent import require_yes
from immutable_servers.driver.terminal.display import Plain, start_display
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.errors import ImmutableError, VerificationError
from immutable_servers.ledger.records import State
from immutable_servers.planning.requests import Request

REMOVE = "remove"
"""The value of `on_failure` for a candidate that does not stay after it failed."""
WORDS = {
    "create": "made",
    "replace": "replaced",
    "update": "changed",
    "delete": "deleted",
    "same": "unchanged",
}
"""The summary's word for each of the engine's operations, in the summary's order."""


def run_up(stack: Opened, *, yes: bool, request: Request | None = None, command: str = "") -> int:
    """Set up what is missing, run `pulumi up`, and print what serves.

    Args:
        stack: The stack.
        yes: Do not ask for confirmation.
        request: What a person asks for in addition to the source.
        command: What was typed, where it is not `up`.

    Raises:
        ImmutableError: The stack's file cannot be read, the answer was no, or something is missing.
    """
    require_yes(stack.target_name, stack.name, command or f"up {stack.name}", yes=yes)
    install_missing(list_parts(stack.target_name, acts=True), yes=yes)
    try:
        with start_display(find_expected(stack.root, stack.name)) as display:
            done = update_and_clean_up(stack, display, request)
    except RunError as error:
        return fail(error)
    say_summary(done)
    show_services(done.services)
    for line in find_host_hints(stack, done.services):
        console.say(line)
    return 0


def update_and_clean_up(stack: Opened, display: Plain, request: Request | None = None) -> Outcome:
    """Update a stack; after failed checks, remove the candidates that are not to stay.

    Raises:
        RunError: It failed, or was interrupted; with what failed of the removal.
    """
    try:
        return update(stack.engine, display, request)
    except RunError as error:
        if error.exit_code != VerificationError.exit_code:
            raise
        raise RunError([*error.errors, *_remove_failed(stack)], error.exit_code) from None


def _remove_failed(stack: Opened) -> Sequence[ImmutableError]:
    """Delete the failed candidates of services with `on_failure: remove`; return what failed."""
    if not _removes(stack):
        return ()
    try:
        going = dict(_find_failed(read_known(stack)))
        if going:
            delete_generations(stack.engine, going, Plain({}))
    except RunError as error:
        return error.errors
    except ImmutableError as error:
        return (error,)
    names = ", ".join(f"{name}-{one}" for name, each in going.items() for one in each)
    if names:
        console.say(f"Removed {names} (on_failure: remove); what serves was not touched")
    return ()


def _removes(stack: Opened) -> bool:
    """Return whether any service has `on_failure: remove`; the settings may be wrong otherwise."""
    services = stack.values.get("services")
    found = services.values() if isinstance(services, Mapping) else ()
    return any(isinstance(one, Mapping) and one.get("on_failure") == REMOVE for one in found)


def _find_failed(stack: KnownStack) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each service whose failed candidates go, with these."""
    for name, settings in stack.settings.services.items():
        service = stack.services.get(name)
        if service is None or settings.on_failure != REMOVE:
            continue
        failed = [record.generation for record in service.list_in(State.CANDIDATE)]
        if failed and service.live is None:
            console.say(f"{name}: the failed candidate stays, as nothing serves beside it")
        elif failed:
            yield name, failed


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
    """Return the number of resources by what happened to them, such as `2 made, 1 changed`."""
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


def find_host_hints(stack: Opened, services: Sequence[Serving]) -> Iterator[str]:
    """Yield how to ask each service with a host name, which need not lead to the balancer yet."""
    try:
        known = stack.settings.services
        for name in sorted({service.service for service in services} & {*known}):
            host = known[name].route.host
            if host:
                # Without its host it is the address that all services with one share.
                shared, scope = Route(name, 0), stack.place.of(name).scope
                address = stack.target.balancer.find_address(shared, scope)
                way = f"curl --header 'Host: {host}' {address}"
                yield f"{name}: until {host} leads to the balancer, ask it by: {way}"
    except ImmutableError:
        return  # a hint must not make a run fail that went well
