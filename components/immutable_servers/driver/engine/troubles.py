"""Translates the CLI's errors about state and engine into ours."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from immutable_servers.errors import ImmutableError, LedgerError, SettingsError
from immutable_servers.text.printable import shorten

CREDENTIALS = re.compile(r"://[^/@\s]+@")
"""A login in a backend's URL: the CLI prints the whole URL."""
REPAIR = (
    'Nothing was done, and what serves goes on. Type: eval "$(./immutable env)", then'
    " `pulumi state repair --stack STACK`."
)


@dataclass(frozen=True)
class Trouble:
    """One kind of error.

    Attributes:
        sign: Matches the line of the CLI's output that reports it.
    """

    sign: "re.Pattern[str]"
    what: str
    todo: str
    kind: Callable[..., ImmutableError] = LedgerError


TROUBLES: Sequence[Trouble] = (
    Trouble(
        re.compile(r"no space left on device"),
        "The disk is full: the state could not be written",
        "Free some space, then run the same command again: it goes on from what is there.",
        ImmutableError,
    ),
    Trouble(
        re.compile(r"error reading from server: (EOF|.*connection reset by peer)"),
        "A process of this run was killed",
        "Somebody killed it, or the kernel's out-of-memory killer did: see `dmesg`. Run the same"
        " command again: it goes on from what is there.",
        ImmutableError,
    ),
    Trouble(
        re.compile(r"[Aa]rgument list too long"),
        "The settings of the stack are too large to be handed to the program",
        "Linux takes 128 KiB in one variable, and the engine puts all settings into one: make `env`"
        " smaller. What is large belongs into the image, or where a server fetches it from.",
        SettingsError,
    ),
    Trouble(
        re.compile(r"snapshot integrity failure"),
        "The state of the stack contradicts itself",
        REPAIR,
    ),
    Trouble(
        re.compile(r"failed to load checkpoint: EOF"),
        "A file next to the state file is empty: an engine was killed while it wrote",
        "The state itself is whole, and what serves goes on. Delete the empty file that ends in"
        " `.attrs` next to it, below `.pulumi/stacks/`. `?metadata=skip` at the end of"
        " PULUMI_BACKEND_URL keeps such files from being written.",
    ),
    Trouble(
        re.compile(r"failed to load checkpoint|could not deserialize|invalid checkpoint"),
        "The state file of the stack is broken",
        f"{REPAIR} A file that is cut off cannot be repaired: put back the last whole copy, which"
        " a state in files keeps below `.pulumi/backups/`.",
    ),
    Trouble(
        re.compile(r"incorrect passphrase|passphrase must be set|PASSPHRASE_FILE"),
        "The passphrase of the stack's secrets is wrong or missing",
        "Set PULUMI_CONFIG_PASSPHRASE to the one that the stack was made with.",
        SettingsError,
    ),
    Trouble(
        re.compile(
            r"performing HTTP request|unable to open (state|bucket)|\.pulumi/meta\.yaml"
            r"|missing google credentials|invalid access token|could not list bucket"
        ),
        "The backend that holds the state cannot be reached",
        "Look at PULUMI_BACKEND_URL, the network and your login; `pulumi whoami` asks the same."
        " What serves goes on.",
    ),
)


def find_trouble(text: str) -> ImmutableError | None:
    """Return our error for a text of the CLI; None when it is about something else."""
    lines = [shorten(line) for line in text.splitlines()]
    for trouble in TROUBLES:
        found = next((line for line in lines if trouble.sign.search(line)), None)
        if found:
            fact = CREDENTIALS.sub("://[secret]@", found).strip().removeprefix("error: ")
            facts = [fact.removeprefix("Error:").strip()]
            return trouble.kind(trouble.what, facts=facts, todo=trouble.todo)
    return None
