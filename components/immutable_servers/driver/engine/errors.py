"""Finds our errors in what the engine says, and the exit code that they give.

An error crosses the engine as text. Ours begin with the name of their class
(`VerificationError: What failed.`), which is taken off again before a user sees it.
"""

import re
from collections.abc import Iterable

from immutable_servers import errors
from immutable_servers.driver.engine.holders import advise, find_holders
from immutable_servers.driver.engine.troubles import find_trouble
from immutable_servers.errors import EXIT_CODES, BusyError, ImmutableError

COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;:]*m")
WRAPPERS = ("error: ", "Exception calling application: ", "pulumi.errors.RunError: ")
"""What the engine and gRPC put before an error's own text."""
CHECKED = re.compile(r"\S+ resource '[^']*': property \S+ value \{.*?\} has a problem: ", re.DOTALL)
"""What the engine puts before what a resource's `check` found."""
KIND = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Z]\w*Error): ")
ECHO = re.compile(
    r"(update|preview|destroy|resource registration) failed|.*exited with non-zero exit code",
    re.DOTALL,
)
"""What the engine adds after an error that has been said already."""
LOCKED = "the stack is currently locked"


def clean(text: str) -> str:
    """Return a message without colours and what the engine put before it."""
    text = COLOURS.sub("", text).strip()
    before = None
    while text != before:
        before = text
        for wrapper in WRAPPERS:
            text = text.removeprefix(wrapper).lstrip()
        if found := CHECKED.match(text):
            text = text[found.end() :]
    return text


def find_error(text: str) -> ImmutableError | None:
    """Return the error of ours that a message carries, or that tells it better, else None."""
    text = clean(text)
    if LOCKED in text:
        holders = find_holders(text)
        return BusyError("Another run holds this stack", facts=holders, todo=advise(holders))
    match = KIND.match(text)
    if match is None or match[1] not in EXIT_CODES:
        return find_trouble(text)
    return _parse(getattr(errors, match[1]), text[match.end() :])


def _parse(kind: type[ImmutableError], text: str) -> ImmutableError:
    """Take the three parts apart again, as `ImmutableError.__str__` wrote them."""
    body, _, todo = text.partition("\nWhat to do: ")
    what, *facts = body.splitlines() or [""]
    facts = [fact.removeprefix("  ") for fact in facts]
    return kind(what.removesuffix("."), facts=facts, todo=todo.strip())


def find_exit_code(messages: Iterable[str]) -> int:
    """Return the code of the first error of ours, 1 when none is."""
    found = (find_error(message) for message in messages)
    return next((error.exit_code for error in found if error), 1)
