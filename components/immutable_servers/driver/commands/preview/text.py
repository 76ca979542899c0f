"""Renders a preview for a reader at a terminal, of 40 columns too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from immutable_servers.driver.commands.preview import words

if TYPE_CHECKING:
    from immutable_servers.driver.commands.preview.models import (
        EnginePreview,
        ImagePreview,
        ServicePreview,
        StackPreview,
    )

Line = tuple[int, str]
"""Indentation, and text that may be wrapped at its words."""
KEPT_REASONS = 20


def render_text(preview: "StackPreview") -> Iterator[Line]:
    """Yield the lines; the last ones are the engine's own."""
    state = ", offline" if preview.offline else ""
    yield 0, f"Stack {preview.stack} on {preview.target or 'no target'}{state}"
    for image in preview.images:
        yield from _render_image(image)
    for service in preview.services:
        yield from _render_service(service)
    for note in preview.notes:
        yield 0, f"Note: {note}"
    if preview.engine:
        yield from _render_engine(preview.engine)
    yield 0, f"Result: {words.word_result(preview)}"


def _render_image(image: "ImagePreview") -> Iterator[Line]:
    yield 0, f"Image {image.name} {words.word_versions(image)}: {words.word_fate(image)}"
    for reason in image.why[:KEPT_REASONS]:
        yield 2, f"because {reason}"
    if len(image.why) > KEPT_REASONS:
        yield 2, f"and {len(image.why) - KEPT_REASONS} more (see --json)"


def _render_service(service: "ServicePreview") -> Iterator[Line]:
    yield 0, f"Service {service.name}: {words.word_move(service)}"
    for reason in service.why:
        yield 2, f"because {reason}"
    if words.word_pin(service):
        yield 2, f"pinned to {words.word_pin(service)}"
    if service.move == "unknown":
        return
    yield 2, f"servers: {words.word_servers(service)}"
    yield 2, f"server-hours: {words.word_hours(service)}"
    if words.word_money(service):
        yield 2, f"money: {words.word_money(service)}"
    if service.launched:
        yield 2, f"took the last times: {words.word_took(service)}"
    for standby in service.standbys:
        yield 2, f"standby: {words.word_generation(standby)}"
    for going in service.going:
        yield 2, f"goes: {going.state} {words.word_generation(going)}"
    if service.address:
        yield 2, f"address: {service.address}"
    for note in words.list_notes(service):
        yield 2, f"note: {note}"


def _render_engine(engine: "EnginePreview") -> Iterator[Line]:
    if engine.steps:
        yield 0, "The engine's own steps:"
    for step in engine.steps:
        yield 2, words.word_step(step)
    yield 0, f"Planned: {words.word_changes(engine)}"
