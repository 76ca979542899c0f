"""Lists: which things a filter takes, and in pages of which size.

https://cloud.google.com/compute/docs/reference/rest/v1/images/list: a condition is `field = value`,
`field : value` or `field eq regex`; several are joined by AND, each within parentheses.
"""

import re
from collections.abc import Mapping
from typing import Any

from clouds.gcp.emulation.refusals import Refusal

AND = re.compile(r"(?<=\))\s*(?:AND\s*)?(?=\()")
CONDITION = re.compile(
    r'\(*\s*([\w.-]+)\s*(!=|=|:|\beq\b|\bne\b)\s*"?([^"()]*?(?:\([^()]*\)[^"()]*?)*)"?\s*\)*'
)
MOST = 500
"""How many things a page holds when the call does not say."""


def take_wanted(filter_: str, things: Mapping[str, Any]) -> dict[str, Any]:
    """Return the things that a filter takes, by their paths."""
    conditions = [_read(text) for text in AND.split(filter_.strip())] if filter_.strip() else []
    return {
        path: thing
        for path, thing in things.items()
        if all(_holds(thing, *condition) for condition in conditions)
    }


def cut_page(
    parameters: Mapping[str, str], things: Mapping[str, Any], page: int
) -> tuple[dict[str, Any], str]:
    """Return the things of the page that is asked for, and the next page's token or none."""
    most = min(int(parameters.get("maxResults", MOST)), page or MOST)
    order, token = parameters.get("orderBy", ""), parameters.get("pageToken", "")
    paths = list(things)
    if order == "creationTimestamp desc":
        paths.sort(key=lambda path: str(things[path]["creationTimestamp"]), reverse=True)
    elif order not in {"", "name"}:
        raise Refusal("notEmulated", f"orderBy {order!r} is not emulated")
    # What the token names may be gone by now, or not be there yet for a list that is late.
    start = next((number for number, path in enumerate(paths) if path == token), None)
    if start is None:
        start = sum(path < token for path in paths)
    following = paths[start + most :]
    shown = {path: things[path] for path in paths[start : start + most]}
    return shown, following[0] if following else ""


def _read(text: str) -> tuple[str, str, str]:
    found = CONDITION.fullmatch(text.strip())
    if not found:
        raise Refusal("notEmulated", f"the filter {text!r} is not emulated")
    return found[1], found[2], found[3]


def _holds(thing: Mapping[str, Any], field: str, sign: str, wanted: str) -> bool:
    value: Any = thing
    for word in field.split(".", 1) if field.startswith("labels.") else field.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    there = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if sign == ":" and wanted == "*":
        return value is not None
    if sign == ":" and wanted.endswith("*"):
        return there.startswith(wanted[:-1])
    if sign == ":":
        return wanted in there
    if sign in {"eq", "ne"}:
        return bool(re.fullmatch(wanted, there)) == (sign == "eq")
    if "*" in wanted:
        raise Refusal("notEmulated", f"a pattern in {field} {sign} {wanted} is not emulated")
    return (there == wanted) == (sign == "=")
