"""Turns what Google refuses into our errors: what failed, what Google said, what to do."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.faults import Faults, Refusal

GUIDE = "docs/how-to/gcp.md"
STATUS = {401: "unauthorized", 404: "notFound", 412: "conditionNotMet", 429: "rateLimitExceeded"}
"""Codes of answers that carry no reason, or another API's word for it."""
FAULTS = Faults("Google", "zones", GUIDE, Path(__file__).with_suffix(".yaml"))
PERMISSION = re.compile(
    r"(?:Required|Permission) '([\w.]+)'(?:.*? (?:for|on resource) '?([^'\s]+))?"
)
"""https://docs.cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation"""
UNKNOWN: Mapping[str, str] = {
    r"The resource 'projects/[^/']+' was not found|Unknown project": "unknownProject",
    r"The resource 'projects/[^/']+/regions/[^/']+' was not found|Unknown region": "unknownRegion",
    r"The resource 'projects/[^/']+/zones/[^/']+' was not found|Unknown zone": "unknownZone",
    r"The resource 'projects/[^/']+/global/images/[^/']+' is obsolete": "imageObsolete",
}
"""What says that the place is not there, and nothing of the thing that was asked for in it."""


class GoogleError(Exception):
    """A refusal by Google, in an answer or as the end of an operation.

    Attributes:
        codes: Google's reasons in its older spelling, such as `resourceInUseByAnotherResource`.
        said: Google's own words, with the address that helps.
    """

    def __init__(self, codes: Sequence[str], said: str) -> None:
        super().__init__(said)
        self.codes, self.said = [fold(code) for code in codes], said

    @property
    def denied(self) -> re.Match[str] | None:
        """The permission that is missing, and on what; None for a refusal of another kind."""
        return PERMISSION.search(self.said)

    def is_one_of(self, refusals: Sequence[str]) -> bool:
        """Return whether Google gave one of these reasons."""
        return not {fold(one) for one in refusals}.isdisjoint(self.codes)


def fold(code: str) -> str:
    """Return `RESOURCE_IN_USE`, as operations and newer APIs spell it, as `resourceInUse`."""
    if not code.isupper():
        return code
    first, *rest = code.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def read_answer(status: int, content: bytes) -> GoogleError:
    """Return what a refusing answer says, with where an API can be enabled."""
    usual = STATUS.get(status, str(status))
    try:
        error = json.loads(content)["error"]
        said, parts = str(error["message"]), [*error.get("details", ()), *error.get("errors", ())]
    except (ValueError, KeyError, TypeError):
        return GoogleError([usual], content.decode(errors="replace"))
    codes = [code for words, code in UNKNOWN.items() if re.search(words, said)]
    if not codes:
        codes = [*(one.get("reason", "") for one in parts), error.get("status", ""), usual]
    helps = [one.get("extendedHelp", one.get("metadata", {}).get("activationUrl")) for one in parts]
    said = " ".join(dict.fromkeys([said, *(one for one in helps if one and one not in said)]))
    return GoogleError([code for code in codes if code], said)


def read_errors(errors: Sequence[Mapping[str, Any]]) -> GoogleError:
    """Return what an operation that failed says; its first error is the cause."""
    codes = [str(one.get("code", "")) for one in errors]
    said = "; ".join(f"{one.get('code')}: {one.get('message', '')}" for one in errors)
    return GoogleError(codes, said)


def explain(
    error: Exception, action: str, where: str, kind: type[ImmutableError]
) -> ImmutableError:
    """Return our error for a refusal, or for what google-auth or the connection raised.

    Args:
        error: What happened.
        action: The call, such as `compute.images.get`.
        where: Project and region.
        kind: The branch when the error is about the call itself.
    """
    if not isinstance(error, GoogleError):
        return FAULTS.explain(Refusal.of(error, action, where), kind)
    refusal = Refusal(error.codes or [""], error.said, action, where)
    if found := error.denied:
        return FAULTS.explain_denied(refusal, found[1], found[2] or where)
    return FAULTS.explain(refusal, kind)


def describe_trouble(code: str, said: str) -> str:
    """Return a line for what a group's machine met: what it means, Google's words, what to do."""
    error = explain(read_errors([{"code": code, "message": said}]), "its start", "", ImmutableError)
    return f"{error.what} ({code}: {said}). {error.todo}"
