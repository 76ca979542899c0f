"""Turns what a cloud's SDK raises into our errors, by a table of the cloud's codes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from immutable_servers import errors
from immutable_servers.errors import ImmutableError, SetupError

SHARED = Path(__file__).with_suffix(".yaml")
DENIED = "A permission is missing: "


@dataclass(frozen=True)
class Refusal:
    """A call that failed.

    Attributes:
        codes: The cloud's code, or the names of the SDK's error classes, the nearest first.
        said: The cloud's or the SDK's own words.
        action: The call, as the cloud's permissions name it.
        where: Its region or zone.
    """

    codes: Sequence[str]
    said: str
    action: str
    where: str

    @classmethod
    def of(cls, error: Exception, action: str, where: str) -> "Refusal":
        """Return a call that ended with an error of the SDK's own."""
        return cls([one.__name__ for one in type(error).__mro__], str(error), action, where)

    @property
    def facts(self) -> list[str]:
        """Return what the reader can look up."""
        return [f"{self.action} in {self.where}: {self.said}"]


@dataclass(frozen=True)
class Row:
    """What error codes mean.

    Attributes:
        codes: An expression for the codes.
        what: What failed; like `todo` it may name what `Faults.explain` fills in.
        todo: What to do.
        branch: A class of `errors`; empty when the error is about the operation itself: then its
            caller knows.
    """

    codes: str
    what: str
    todo: str
    branch: str = ""


@dataclass(frozen=True)
class Faults:
    """What a cloud's refusals mean.

    Attributes:
        cloud: Its name, for a reader.
        places: What servers may stand in, such as `zones`.
        guide: The how-to of the target.
        file: The table, of `Row`'s fields; `like` names a row that the clouds share.
    """

    cloud: str
    places: str
    guide: str
    file: Path

    @cached_property
    def rows(self) -> Sequence[Row]:
        """The table, read when something has failed."""
        shared, own = (yaml.safe_load(one.read_text("utf-8")) for one in (SHARED, self.file))
        return [Row(**{**shared.get(row.pop("like", ""), {}), **row}) for row in own]

    def explain(self, refusal: Refusal, kind: type[ImmutableError]) -> ImmutableError:
        """Return the error of the first row that fits; `kind` when the row has no branch."""
        row = next(
            row for row in self.rows if any(re.fullmatch(row.codes, one) for one in refusal.codes)
        )
        words = {"cloud": self.cloud, "places": self.places, "guide": self.guide}
        what, todo = (
            text.format(**words, action=refusal.action, where=refusal.where)
            for text in (row.what, row.todo)
        )
        branch = getattr(errors, row.branch) if row.branch else kind
        return branch(what, facts=refusal.facts, todo=todo)

    def explain_denied(self, refusal: Refusal, action: str, on: str) -> SetupError:
        """Return the error for a permission that is missing."""
        return SetupError(
            f"{DENIED}{action}",
            facts=[f"on {on}", *refusal.facts],
            todo=f"Allow it to whoever runs this; {self.guide} says which file holds what a role"
            " needs.",
        )


def find_denied(error: ImmutableError) -> str:
    """Return the permission that is missing; empty for an error about something else."""
    return error.what.partition(DENIED)[2]


def make_without_sdk(target: str, error: ImportError) -> SetupError:
    """Return the error of a machine that lacks what a target is asked by."""
    return SetupError(
        f"The Python packages for stacks on {target} are missing",
        facts=[str(error)],
        todo=f"Run `./immutable up` on such a stack: it installs requirements-{target}.lock.",
    )
