"""Finds our errors in the engine's output, and their exit code.

An error crosses the engine as text. Ours begin with the name of their class
(`VerificationError: What failed.`), which is removed before a user sees it.
"""

import re
from collections.abc import Iterable

from immutable_servers import errors
from immutable_servers.driver.engine.holders import advise, find_holders
from immutable_servers.driver.engine.protected import find_protected
from immutable_servers.driver.engine.troubles import find_trouble
from immutable_servers.errors import EXIT_CODES, BusyError, ImmutableError

COLOURS = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;:]*m")
WRAPPERS = ("error: ", "Exception calling application: ", "pulumi.errors.RunError: ")
"""What the engine and gRPC put in front of an error's own text."""
CHECKED = re.compile(r"\S+ resource '[^']*': property \S+ value \{.*?\} has a problem: ", re.DOTALL)
"""What the engine puts in front of an error of a resource's `check`."""
KIND = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Z]\w*Error): ")
ECHO = re.compile(
    r"(update|preview|destroy|resource registration) failed|.*exited with non-zero exit code",
    re.DOTALL,
)
"""What the engine adds after an error that it has reported already."""
LOCKED = ("the stack is currently locked", "Another update is currently in progress")
"""What a backend in files, and Pulumi Cloud, say of a stack that another run holds."""


def clean(text: str) -> str:
    """Return a message without colours and without what the engine put in front of it."""
    text = COLOURS.sub("", text).strip()
    before = None
    while text != before:
        before = text
        for wrapper in WRAPPERS:
            text = text.removeprefix(wrapper).lstrip()
        if found := CHECKED.match(text):
            text = text[found.end() :]
    return text


def is_locked(text: str) -> bool:
    """Return whether a message says that another run holds the stack."""
    return any(one in text for one in LOCKED)


def find_error(text: str) -> ImmutableError | None:
    """Return our error in a message, or ours for an error of the CLI; None for other text."""
    text = clean(text)
    if is_locked(text):
        holders = find_holders(text)
        return BusyError("Another run holds this stack", facts=holders, todo=advise(holders))
    match = KIND.match(text)
    if match is None or match[1] not in EXIT_CODES:
        return find_protected(text) or find_trouble(text)
    return _parse(getattr(errors, match[1]), text[match.end() :])


def _parse(kind: type[ImmutableError], text: str) -> ImmutableError:
    """Split the text of an error into its three parts, which `ImmutableError.__str__` joined."""
    body, _, todo = text.partition("\nWhat to do: ")
    what, *facts = body.splitlines() or [""]
    facts = [fact.removeprefix("  ") for fact in facts]
    return kind(what.removesuffix("."), facts=facts, todo=todo.strip())


def find_exit_code(messages: Iterable[str]) -> int:
    """Return the exit code of the first of our errors; 1 without one."""
    found = (find_error(message) for message in messages)
    return next((error.exit_code for error in found if error), 1)
