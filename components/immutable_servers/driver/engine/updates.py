"""Updates a stack, deletes generations or everything, each as one run of the engine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from immutable_servers.driver.engine.errors import clean, find_error
from immutable_servers.driver.engine.reporter import Reporter
from immutable_servers.driver.engine.results import Outcome, make_outcome
from immutable_servers.driver.engine.run import Ended, run_engine
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.engine.turns import take_turn
from immutable_servers.driver.phases import Work
from immutable_servers.driver.terminal.display import Plain
from immutable_servers.errors import ImmutableError, StoppedError
from immutable_servers.planning.requests import VARIABLE, Request

FIRST_SIGNAL = 128
"""A run that a signal ended has this added to its number as its exit code, as in a shell."""
LEFT: Mapping[str, str] = {
    "bake": "nothing of it is kept; the next run bakes it from the start",
    "launch": "its servers stay and serve nobody; the next run takes them up",
    "verify": "it is not verified and serves nobody; the next run verifies it",
    "seal": "it is verified and serves nobody yet; the next run seals it",
    "traffic": "the balancer knows what serves; the next run reads it there and sets it right",
    "retire": "it is not deleted to the end; the next run goes on with that",
}
"""What an interrupt leaves, by phase. A source that was reverted meanwhile retires a candidate
instead."""


class RunError(ImmutableError):
    """A run failed: all its errors, and the exit code of the first."""

    def __init__(self, errors: Sequence[ImmutableError], code: int) -> None:
        self.errors = tuple(errors)
        self.exit_code = code
        first = self.errors[0]
        super().__init__(first.what, facts=first.facts, todo=first.todo)


def update(
    stack: Stack, display: Plain, request: Request | None = None, targets: Sequence[str] = ()
) -> Outcome:
    """Run `pulumi up`.

    Args:
        stack: The stack.
        display: Shows the run.
        request: What a person asks for in addition to the source.
        targets: Patterns of URNs; with some the engine looks at nothing else.

    Raises:
        RunError: It failed, or was interrupted.
    """
    if request:
        stack = replace(stack, environment={**stack.environment, VARIABLE: request.render()})
    only = (f"--target={pattern}" for pattern in targets)
    return _run(stack, ["up", "--yes", "--skip-preview", *only], display)


def delete_generations(stack: Stack, going: Mapping[str, Sequence[str]], display: Plain) -> Outcome:
    """Delete generations, by service; the engine looks at these and their pointers alone.

    Raises:
        RunError: It failed, or was interrupted.
    """
    targets = [
        pattern
        for name, generations in going.items()
        for pattern in (
            f"**:Release::{name}",
            f"**:Traffic::{name}",
            *(f"**::{name}-{generation}*" for generation in generations),
        )
    ]
    request = Request(retire={name: list(each) for name, each in going.items()})
    return update(stack, display, request, targets)


def delete(stack: Stack, display: Plain) -> Outcome:
    """Remove the protection, and delete everything of a stack; images stay.

    Raises:
        RunError: It failed, or was interrupted.
    """
    unprotect(stack, "--all")
    return _run(stack, ["destroy", "--yes", "--skip-preview"], display)


def unprotect(stack: Stack, what: str) -> None:
    """Remove the protection of a resource by its URN, or with `--all` that of each."""
    words = ("state", "unprotect", what, "--yes")
    take_turn(stack, lambda: stack.run(*words), lambda done: done.stderr)


def remove(stack: Stack) -> None:
    """Remove an empty stack from its backend; its file stays.

    Raises:
        ImmutableError: It is not empty, or the backend refused.
    """
    done = stack.run("stack", "rm", "--yes", "--preserve-config")
    if done.returncode:
        raise find_error(done.stderr) or ImmutableError(
            f"The stack {stack.name} is empty and could not be removed",
            facts=done.stderr.splitlines(),
        )


def _run(stack: Stack, words: Sequence[str], display: Plain) -> Outcome:
    began = time.monotonic()
    reporter = Reporter(display)
    ended = run_engine(stack, words, reporter)
    display.close()
    if ended.code:
        raise RunError(find_failures(ended, reporter, f"{words[0]} {stack.name}"), ended.code)
    return make_outcome(reporter, time.monotonic() - began)


def find_failures(ended: Ended, reporter: Reporter, command: str) -> list[ImmutableError]:
    """Return why a run failed; never empty."""
    texts = reporter.errors or ["\n".join(ended.output)]
    found = [find_error(text) or _wrap(text) for text in texts]
    if ended.code <= FIRST_SIGNAL:
        return found
    # An error of work that was stopped on purpose says nothing: the interrupt lists that work.
    others = [error for error in found if not isinstance(error, StoppedError) and error.facts]
    return [*others, describe_interrupt(command, reporter.unfinished)]


def _wrap(text: str) -> ImmutableError:
    first, *rest = clean(text).splitlines() or ["The engine failed and did not say why"]
    return ImmutableError(first.removesuffix("."), facts=rest)


def describe_interrupt(command: str, unfinished: Sequence[Work]) -> StoppedError:
    """Return the error of an interrupted run: what was under way, and how to go on."""
    left = [f"{work.phase} {work.name}: {LEFT[work.phase]}" for work in unfinished]
    return StoppedError(
        "Interrupted: what served goes on serving, and nothing is locked",
        facts=left or ["Nothing was left half-way."],
        todo=f"`./immutable {command}` goes on from here.",
    )
