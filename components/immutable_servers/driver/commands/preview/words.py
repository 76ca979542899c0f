"""Renders the sentences that the text and the comment of a preview share."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.ledger.pin import Pinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from immutable_servers.driver.commands.preview.models import (
        EnginePreview,
        EngineStep,
        GenerationPreview,
        ImagePreview,
        Move,
        Problem,
        ServicePreview,
        StackPreview,
    )

VERBS: Mapping[str, str] = {
    "create": "made",
    "replace": "replaced",
    "update": "changed",
    "delete": "deleted",
    "same": "unchanged",
}
SIGNS: Mapping[str, str] = {
    "create": "+",
    "create-replacement": "+-",
    "update": "~",
    "delete": "-",
    "delete-replaced": "--",
}
RESULTS: Mapping[str, str] = {
    "nothing": "nothing to do",
    "changes": "changes",
    "error": "an update would not begin",
}
CENT = 0.01
FATES: Mapping[str, str] = {"not asked": "to be baked unless found"}


def word_versions(image: "ImagePreview") -> str:
    """Return text such as `9ed3c0d793ba → 1f2e3d4c5b6a`, or the new one alone."""
    if image.old in ("", image.new):
        return image.new
    return f"{image.old} → {image.new}"


def word_fate(image: "ImagePreview") -> str:
    """Return bake or found."""
    if image.old == image.new and image.fate == "not asked":
        return "unchanged"
    return FATES.get(image.fate, image.fate)


def word_move(service: "ServicePreview") -> str:
    """Return what happens to a service, in one line."""
    new, old = service.desired.id, service.live.id if service.live else "none"
    then = " again" if new == old else ", then will get the traffic"
    said: Mapping[Move, str] = {
        "unknown": f"generation {new} for this checkout",
        "first": f"generation {new}, the first",
        "replace": f"generation {old} → {new}, create before destroy",
        "traffic": f"generation {old} → {new}, which stands by: no bake, no boot",
        "verify": f"generation {new} will be verified{then}",
        "resize": f"generation {new} stays and changes its count in place",
        "failed": f"generation {old} stays: {new} failed under traffic",
        "nothing": f"generation {new} stays",
    }
    return said[service.move]


def word_servers(service: "ServicePreview") -> str:
    """Return how many servers come and go."""
    counts = service.servers
    if not service.launched and not service.retired:
        return f"{counts.now}, none launched, none retired"
    return (
        f"{service.launched} launched, {service.retired} retired:"
        f" {counts.now} now, {counts.during} during, {counts.after} after"
    )


def word_hours(service: "ServicePreview") -> str:
    """Return server-hours of a day before and after, and of the update itself."""
    now, after = service.server_hours_per_day_now, service.server_hours_per_day_after
    during = service.server_hours_of_update
    words = f"{now} a day now, {after} a day after"
    if during is None or not service.launched:
        return words
    about = f"about {during:g}" if during else "under 0.01"
    return f"{words}, {about} for the update"


def word_money(service: "ServicePreview") -> str:
    """Return what the servers cost; empty without prices."""
    money = service.money
    if money is None:
        return ""
    unit = f" {money.currency}".rstrip()
    words = f"{money.per_day_now:.2f}{unit} a day now, {money.per_day_after:.2f}{unit} a day after"
    if money.of_update is None or not service.launched:
        return words
    return f"{words}, {_round(money.of_update)}{unit} for the update"


def _round(amount: float) -> str:
    return f"about {amount:.2f}" if amount >= CENT else f"under {CENT}"


def word_took(service: "ServicePreview") -> str:
    """Return how long the last updates took."""
    if not service.took:
        return "no update in the logs here"
    return ", ".join(f"{render_seconds(took.seconds)} ({took.at[:10]})" for took in service.took)


def word_generation(generation: "GenerationPreview") -> str:
    """Return text such as `3f2a9c41 (app 9ed3c0d793ba, 2 servers)`."""
    images = ", ".join(f"{name} {version}" for name, version in generation.images.items())
    many = "" if generation.servers == 1 else "s"
    return f"{generation.id} ({images}, {generation.servers} server{many})"


def word_pin(service: "ServicePreview") -> str:
    """Return what the pin says; empty without one."""
    pin = service.pin
    if not isinstance(pin, Pinned):
        return ""
    who, at, why = pin.who or "somebody", pin.at or "some time", pin.why or "no reason"
    return f"{pin.generation} by {who} at {at}: {why}"


def list_notes(service: "ServicePreview") -> "Sequence[str]":
    """Return the notes that are not said elsewhere."""
    return [note for note in service.notes if not note.startswith("pinned to generation")]


def word_step(step: "EngineStep") -> str:
    """Return text such as `+- Release web`; an image that is replaced is not deleted."""
    kept = step.type == "Image" and step.operation in ("delete", "delete-replaced")
    sign = SIGNS.get(step.operation, step.operation)
    return f"{sign:<2} {step.type} {step.name}{' (it stays in the catalog)' if kept else ''}"


def word_changes(engine: "EnginePreview") -> str:
    """Return the engine's counts: `2 made, 1 deleted, 14 unchanged`."""
    words = [
        f"{count} {VERBS.get(operation, operation)}" for operation, count in engine.changes.items()
    ]
    return ", ".join(words) or "nothing to do"


def word_result(preview: "StackPreview") -> str:
    """Return the outcome in a few words."""
    return RESULTS[preview.result]


def list_problem(problem: "Problem") -> "Sequence[str]":
    """Return the lines of an error's three parts."""
    lines = [f"{problem.what.removesuffix('.')}."]
    lines += [f"  {line}" for fact in problem.facts for line in fact.splitlines()]
    return [*lines, f"What to do: {problem.todo}"] if problem.todo else lines
