"""Chooses the generation that a service goes back to, or lists those that it can go back to."""

from immutable_servers.driver.commands.known import KnownStack
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import Pinned
from immutable_servers.ledger.records import Record, State
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.usable import find_image_fault

ACROSS = "--across-data-version"


def choose_fallback(stack: KnownStack, service: KnownService, to: str, *, across: bool) -> Record:
    """Return the generation to go back to: the standby that served last, or the named generation.

    What a rollback left is taken only when it is named.

    Args:
        stack: Where the service is.
        service: The service.
        to: A generation's id; empty for the standby that served last.
        across: Go back although the data has another version.

    Raises:
        SettingsError: There is nothing to go back to, or the named generation must not be taken.
    """
    pin = service.ledger.pin
    left = (pin.left if isinstance(pin, Pinned) else pin and pin.held) or ""
    standbys = [
        one
        for one in service.earlier
        if one.state is State.STANDBY and not service.is_left(left, one)
    ]
    chosen = service.ledger.generations.get(to) if to else next(iter(standbys), None)
    if chosen is None:
        raise _refuse(stack, service, _describe_stranger(stack, service, to), to)
    fault = find_fault(stack, service, chosen)
    if not fault and not across:
        fault = find_other_data(service, chosen)
    if fault:
        what = f"Generation {chosen.generation} of {service.name} {fault}"
        raise _refuse(stack, service, what, chosen.generation)
    return chosen


def needs_launch(service: KnownService, record: Record) -> bool:
    """Return whether going back takes a launch: its servers are gone, or not whole."""
    fleet = service.fleets.get(record.generation)
    return record.state is not State.STANDBY or fleet is None or not fleet.whole


def find_fault(stack: KnownStack, service: KnownService, record: Record) -> str:
    """Return why a generation must not get the traffic; empty when it may."""
    if record.state is State.LIVE:
        return "is live already"
    if not record.verified:
        return "never passed its verification"
    if record.fault:
        return f"failed under traffic ({record.fault})"
    launched = needs_launch(service, record)
    fault = find_image_fault(record, stack.target.images, launched=launched)
    return f"cannot be used: {fault}" if fault else ""


def find_other_data(service: KnownService, record: Record) -> str:
    """Return that a generation and the live one differ in data version; empty when not."""
    live = service.live
    if live is None or live.data_version == record.data_version:
        return ""
    theirs, ours = record.data_version or "none", live.data_version or "none"
    return f"works with data version {theirs}, the live one with {ours}"


def _describe_stranger(stack: KnownStack, service: KnownService, to: str) -> str:
    if not to:
        if any(one.state is State.STANDBY for one in service.earlier):
            return f"{service.name} has no standby but what the last rollback left"
        return f"There is no standby that {service.name} can go back to"
    for other in stack.services.values():
        if to in other.ledger.generations:
            return f"Generation {to} is one of service {other.name}, not of {service.name}"
    return f"The ledger of {service.name} knows no generation {to}"


def _refuse(stack: KnownStack, service: KnownService, what: str, chosen: str) -> SettingsError:
    others = [one for one in service.earlier if one.generation != chosen]
    facts = [_describe(stack, service, one) for one in others]
    todo = "Name one of these with --to." if others else "Fix the source instead."
    record = service.ledger.generations.get(chosen)
    if record and record.fault and record.state is not State.LIVE:
        again = f"./immutable replace {stack.name} {service.name}"
        todo = f"{todo.removesuffix('.')}, or with its source try it again on new servers: {again}"
    if record and not find_fault(stack, service, record):
        todo = f"Add {ACROSS} when its source can work with the data as it is now."
    return SettingsError(
        f"{what}; nothing was changed",
        facts=facts or ["There is no other generation to go back to."],
        todo=todo,
    )


def _describe(stack: KnownStack, service: KnownService, record: Record) -> str:
    images = ", ".join(f"{image} {version}" for image, version in record.images.items())
    fault = find_fault(stack, service, record) or find_other_data(service, record)
    how = "a boot, no bake" if needs_launch(service, record) else "at once"
    verified = record.verified.get("at", "before")
    return f"{record.generation}: {record.state}, {images}, verified {verified}; {fault or how}"
