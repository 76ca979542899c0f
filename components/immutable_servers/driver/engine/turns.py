"""Waits for another run that holds the stack: for one that ends anyway, or as long as asked."""

import time
from collections.abc import Callable, Sequence
from re import Match
from typing import TypeVar

from immutable_servers.driver.engine.errors import is_locked
from immutable_servers.driver.engine.holders import (
    HOLDER,
    find_holders,
    is_ending,
    is_gone,
    is_here,
)
from immutable_servers.driver.engine.locks import clear_stale_locks
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.terminal import console
from immutable_servers.settings.durations import render_duration
from immutable_servers.system.waiting import wait_until

T = TypeVar("T")
ENDING_SECONDS = 300
"""The longest wait for a run that was stopped; what cleans up at a cloud may take minutes."""
LOOK_SECONDS = 0.2
TRY_SECONDS = 5
"""Time between two tries while nobody here can see whether the holder still runs."""


def take_turn(stack: Stack, attempt: Callable[[], T], read: Callable[[T], str]) -> T:
    """Do what needs the stack's lock, again and again while it is worth waiting for its holder.

    Args:
        stack: The stack, with the seconds to wait for any holder.
        attempt: Tries it.
        read: Returns what was said of an attempt.
    """
    refused_at = None
    ended: set[str] = set()
    while True:
        if stack.own:
            clear_stale_locks(stack)
        done = attempt()
        said = read(done)
        if not is_locked(said):
            return done
        holders = list(HOLDER.finditer(said))
        if (gone := _find_gone(holders)) - ended:  # It may have let go after the refusal.
            ended |= gone
            continue
        now, patience = time.monotonic(), 0 if gone else _find_patience(stack, holders)
        left = patience - (now - (refused_at or now))
        if left <= 0:
            return done
        if refused_at is None:
            refused_at = now
            console.say(_describe(said, holders, patience))
        _wait(holders, left)


def _find_gone(holders: Sequence[Match[str]]) -> set[str]:
    """Return the holders when all have ended, and so nobody will let go; else none."""
    return {found[0] for found in holders} if all(map(is_gone, holders)) else set()


def _find_patience(stack: Stack, holders: Sequence[Match[str]]) -> float:
    """Return the seconds that a turn is waited for in all."""
    return max(stack.wait, ENDING_SECONDS if holders and all(map(is_ending, holders)) else 0)


def _describe(said: str, holders: Sequence[Match[str]], patience: float) -> str:
    if holders and all(map(is_ending, holders)):
        return (
            "An earlier run was stopped, and its engine still ends what was under way"
            f" (pid {holders[0]['pid']}): this one waits for it"
        )
    facts = "; ".join(find_holders(said)) or "Its backend does not say who"
    return f"Another run holds this stack. {facts}: waiting up to {render_duration(patience)}"


def _wait(holders: Sequence[Match[str]], left: float) -> None:
    """Wait until each holder has ended; shortly, where nobody can see that here."""
    seen = bool(holders) and all(map(is_here, holders))
    wait_until(
        "waiting for another run of the stack",
        left if seen else min(left, TRY_SECONDS),
        lambda: seen and all(map(is_gone, holders)),
        every=LOOK_SECONDS,
    )
