"""Renders previews as the comment on a pull request, which the next one replaces."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from immutable_servers.driver.commands.preview import words
from immutable_servers.text.printable import make_printable

if TYPE_CHECKING:
    from immutable_servers.driver.commands.preview.models import (
        ImagePreview,
        ServicePreview,
        StackPreview,
    )

LIMIT = 65_536
"""What GitHub takes in one comment, in characters; GitLab takes more."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
CUT = "\n\nThe rest is left out: a comment holds no more. See `./immutable preview {stack}`.\n"


def render_marker(stack: str) -> str:
    """Return the line by which the next comment finds this one."""
    return f"<!-- immutable-servers: {stack} -->"


def render_markdown(previews: Sequence["StackPreview"], marker: str) -> str:
    """Return the comment, within the host's limit.

    What does not fit is left out from the end of the details, the engine's steps first.
    """
    head = f"{render_marker(marker)}\n"
    for details in (None, 50, 5, 0):
        text = head + "\n".join("\n".join(_render_stack(p, details)) for p in previews) + "\n"
        if len(text) <= LIMIT:
            return text
    rest = CUT.format(stack="--all" if len(previews) > 1 else previews[0].stack)
    return text[: LIMIT - len(rest)] + rest


def _render_stack(preview: "StackPreview", details: int | None) -> Iterator[str]:
    """Yield a stack's lines; `details` is how many lines a folded part may have, None for all."""
    yield f"### Stack {_code(preview.stack)}: {words.word_result(preview)}"
    yield ""
    for problem in preview.problems:
        yield _fence("\n".join(words.list_problem(problem)))
        yield ""
    if preview.images:
        yield from _render_images(preview.images, details)
    for service in preview.services:
        yield from _render_service(service)
    for note in preview.notes:
        yield f"Note: {escape(note)}"
        yield ""
    if preview.engine:
        steps = [words.word_step(step) for step in preview.engine.steps]
        title = f"The engine: {words.word_changes(preview.engine)}"
        yield from _fold(title, steps, details)
    commit = f" of commit {escape(preview.commit[:12])}" if preview.commit else ""
    asked = ", offline: catalog, target and engine were not asked" if preview.offline else ""
    yield f"<sub>Preview{commit} on {escape(preview.target or 'no target')}{asked}.</sub>"


def _render_images(images: Sequence["ImagePreview"], details: int | None) -> Iterator[str]:
    yield "| image | version | |"
    yield "|---|---|---|"
    for image in images:
        versions = words.word_versions(image)
        yield f"| {escape(image.name)} | {_code(versions)} | {words.word_fate(image)} |"
    yield ""
    for image in images:
        if image.old != image.new and image.why:
            yield from _fold(f"Why {image.name} is new ({len(image.why)})", image.why, details)


def _render_service(service: "ServicePreview") -> Iterator[str]:
    yield f"**{escape(service.name)}**: {escape(words.word_move(service))}"
    yield ""
    if service.move == "unknown":
        return
    if service.why:
        yield f"- because {escape('; '.join(service.why))}"
    if words.word_pin(service):
        yield f"- pinned to {escape(words.word_pin(service))}"
    yield f"- servers: {escape(words.word_servers(service))}"
    yield f"- server-hours: {escape(words.word_hours(service))}"
    if words.word_money(service):
        yield f"- money: {escape(words.word_money(service))}"
    if service.launched:
        yield f"- took the last times: {escape(words.word_took(service))}"
    for standby in service.standbys:
        yield f"- standby afterwards: {escape(words.word_generation(standby))}"
    for going in service.going:
        yield f"- goes: {escape(f'{going.state} {words.word_generation(going)}')}"
    for note in words.list_notes(service):
        yield f"- note: {escape(note)}"
    yield ""


def _fold(title: str, lines: Sequence[str], details: int | None) -> Iterator[str]:
    """Yield a part that a reader opens; empty lines let Markdown see the block inside."""
    if not lines:
        yield escape(title)
        yield ""
        return
    shown = list(lines[:details])
    if len(shown) < len(lines):
        shown.append(f"... and {len(lines) - len(shown)} more")
    yield f"<details><summary>{_break_mentions(html.escape(_plain(title)))}</summary>"
    yield ""
    yield _fence("\n".join(shown))
    yield ""
    yield "</details>"
    yield ""


def escape(text: str) -> str:
    """Return text that Markdown shows unchanged on one line, without mentions."""
    return _break_mentions(SPECIAL.sub(r"\\\1", _plain(text)))


def _plain(text: str) -> str:
    return " ".join(make_printable(text).split())


def _break_mentions(text: str) -> str:
    """Put a space of no width behind each `@`: a host looks for names in what Markdown made."""
    return text.replace("@", "@\u200b")


def _code(text: str) -> str:
    """Return code in a line; one with a backtick is shown as plain text."""
    return escape(text) if "`" in text else f"`{_plain(text)}`"


def _fence(text: str) -> str:
    """Return a code block that the text cannot end."""
    text = make_printable(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
