"""Renders a status for a reader: a table of generations, and lines for other facts."""

from collections.abc import Iterator, Mapping, Sequence

from immutable_servers.driver.commands.status.models import (
    GenerationStatus,
    ImageStatus,
    ServiceStatus,
    StackStatus,
)
from immutable_servers.ledger.pin import HeldOff, Pinned

COLUMNS = ("service", "address", "generation", "state", "traffic", "healthy", "images", "verified")
UNITS: Mapping[str, int] = {"day": 86400, "hour": 3600, "minute": 60}


def render_rows(status: StackStatus) -> Iterator[Sequence[str]]:
    """Yield the table's rows: the generations of each service, the newest first."""
    for service in status.services:
        for generation in service.generations:
            yield _render_row(service, generation)


def render_lines(status: StackStatus) -> Iterator[str]:
    """Yield lines for what the table does not show."""
    for image in status.images:
        yield f"image {image.image} {image.version}: {', '.join(_describe_image(image))}"
    for lock in status.locks:
        hint = f"; look for a newer one: ./immutable update {lock.image}" if lock.old else ""
        yield f"lock of {lock.image}: {render_age(lock.age)} old{hint}"
    for service in status.services:
        yield from (f"{service.name}: {line}" for line in _describe_service(service))
    for note in status.notes:
        yield f"note: {note}"


def render_age(seconds: int) -> str:
    """Return an age in its largest whole unit, such as `3 hours`."""
    for unit, length in UNITS.items():
        if seconds >= length:
            number = seconds // length
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"


def _render_row(service: ServiceStatus, generation: GenerationStatus) -> Sequence[str]:
    states: list[str] = [generation.state]
    states += ["pinned"] if service.is_pinned_to(generation.id) else []
    states += ["not whole"] if not generation.whole else []
    states += ["leaving"] if generation.leaving else []
    healthy = sum(server.healthy for server in generation.servers)
    return (
        service.name,
        service.address if generation.state == "live" else "",
        generation.id,
        ", ".join(states),
        f"{generation.traffic} %",
        f"{healthy}/{generation.wanted}",
        ", ".join(f"{image} {version}" for image, version in generation.images.items()),
        generation.verified.get("at", generation.verified.get("how", "")),
    )


def _describe_image(image: ImageStatus) -> Iterator[str]:
    if image.age is not None:
        yield f"baked {render_age(image.age)} ago"
    else:
        yield "in the catalog" if image.found else "not in the catalog"
    if image.generations:
        yield f"in {', '.join(image.generations)}"
    if image.of_source:
        yield "the checkout's"


def _describe_service(service: ServiceStatus) -> Iterator[str]:
    pin = service.pin
    if isinstance(pin, Pinned):
        who, at, why = (said or "?" for said in (pin.who, pin.at, pin.why))
        yield f"pinned to {pin.generation} by {who} at {at}: {why}"
    elif isinstance(pin, HeldOff):
        yield f"{pin.held} was left by a rollback and is held off"
    if service.source is None:
        yield "what the source would change is not known"
    else:
        yield f"the source: {service.source.words}"
        yield from (f"  because {reason}" for reason in service.source.why)
    for generation in service.generations:
        for server in generation.servers:
            if not server.healthy:
                yield f"server {server.name} of the {generation.state} generation: {server.detail}"
    for drift in service.drift:
        yield f"changed by hand: {drift.what}; the next `up` {drift.then}"
