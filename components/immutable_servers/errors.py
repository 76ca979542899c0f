"""The errors a user can meet, as one tree with an exit code for each branch.

```
ImmutableError            1
├── SettingsError         2    a stack file, a lock or a flag is wrong
├── SetupError            3    a tool or a Debian package is missing or does not work
├── ImageError            4    a template, a bake or an artifact failed
├── LaunchError           5    servers did not start, or could not be reached
├── VerificationError     6    a candidate's checks failed
├── TrafficError          7    the balancer refused, or servers are not healthy
├── RetirementError       8    what should go still serves, or could not be deleted
├── LedgerError           9    the record of the generations cannot be read
├── BusyError            10    another run holds the stack or the image
└── StoppedError        130    the run was asked to stop
```

Exit code 1 is also what an unexpected failure of the engine gives, 0 is success.
"""

from collections.abc import Mapping, Sequence

from immutable_servers.text.printable import disarm, make_printable, shorten

LEAVE_NOTHING_OUT = "Run `./immutable up` without --target and --exclude."


class ImmutableError(Exception):
    """Says what failed, the facts, and what to do, in text that can be printed.

    Attributes:
        what: One sentence without a full stop: what failed.
        facts: One line each; paths, values, what a tool printed.
        todo: One or two sentences: what the reader does next.
    """

    exit_code = 1

    def __init__(self, what: str, *, facts: Sequence[str] = (), todo: str = "") -> None:
        self.what = make_printable(what)
        self.facts = tuple(make_printable(fact) for fact in facts)
        self.todo = make_printable(todo)
        super().__init__(str(self))

    def __str__(self) -> str:
        """Return the branch and the three parts, as the engine passes them on."""
        lines = [f"{type(self).__name__}: {self.what}."]
        lines += [f"  {shorten(line)}" for fact in self.facts for line in fact.splitlines()]
        if self.todo:
            lines.append(f"What to do: {self.todo}")
        return disarm("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the three parts when the error crosses a process."""
        return (_rebuild, (type(self), self.what, self.facts, self.todo))


def _rebuild(
    kind: type[ImmutableError], what: str, facts: Sequence[str], todo: str
) -> ImmutableError:
    return kind(what, facts=facts, todo=todo)


def make_left_out(fact: str) -> ImmutableError:
    """Return the error of a run that leaves out (`--target`, `--exclude`) what it needs."""
    return ImmutableError(
        "This run leaves out what has to come first", facts=[fact], todo=LEAVE_NOTHING_OUT
    )


class SettingsError(ImmutableError):
    """A stack file, a lock or a flag is wrong."""

    exit_code = 2


class SetupError(ImmutableError):
    """A tool or a Debian package is missing or does not work."""

    exit_code = 3


class ImageError(ImmutableError):
    """A template, a bake or an artifact failed."""

    exit_code = 4


class LaunchError(ImmutableError):
    """Servers did not start, or could not be reached."""

    exit_code = 5


class VerificationError(ImmutableError):
    """A candidate's checks failed."""

    exit_code = 6


class TrafficError(ImmutableError):
    """The balancer refused, or servers are not healthy."""

    exit_code = 7


class RetirementError(ImmutableError):
    """What should go still serves, or could not be deleted."""

    exit_code = 8


class LedgerError(ImmutableError):
    """The record of the generations cannot be read."""

    exit_code = 9


class BusyError(ImmutableError):
    """Another run holds the stack or the image."""

    exit_code = 10


class StoppedError(ImmutableError):
    """The run was asked to stop, by Ctrl-C or a signal."""

    exit_code = 130


EXIT_CODES: Mapping[str, int] = {
    kind.__name__: kind.exit_code
    for kind in (
        ImmutableError,
        SettingsError,
        SetupError,
        ImageError,
        LaunchError,
        VerificationError,
        TrafficError,
        RetirementError,
        LedgerError,
        BusyError,
        StoppedError,
    )
}
"""Exit code by the error's class name, as the reference documents them."""
