"""Turns what a cloud's SDK raises into our errors, by a table of the cloud's codes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from immutable_servers.errors import ImmutableError, SetupError


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

    @property
    def facts(self) -> list[str]:
        """Return what the reader can look up."""
        return [f"{self.action} in {self.where}: {self.said}"]

    def explain(self, rows: Sequence["Row"], kind: type[ImmutableError]) -> ImmutableError:
        """Return the error of the first row that fits; `kind` when the row has no branch."""
        row = next(row for row in rows if any(re.fullmatch(row.codes, code) for code in self.codes))
        what = row.what.format(action=self.action, where=self.where)
        return (row.branch or kind)(what, facts=self.facts, todo=row.todo)

    def explain_denied(self, action: str, on: str, guide: str) -> SetupError:
        """Return the error for a permission that is missing."""
        return SetupError(
            f"A permission is missing: {action}",
            facts=[f"on {on}", *self.facts],
            todo=f"Allow it in the policy of who runs this; {guide} lists what each command needs.",
        )


@dataclass(frozen=True)
class Row:
    """What error codes mean.

    Attributes:
        codes: An expression for the codes.
        branch: None when the error is about the operation itself: then its caller knows.
        what: May name `{action}` and `{where}`.
    """

    codes: str
    branch: type[ImmutableError] | None
    what: str
    todo: str
