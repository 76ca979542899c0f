"""Names of things in the Compute API: paths, and the URLs that requests and answers hold.

The store knows a thing by its path, `projects/p/global/urlMaps/web`. Requests may name it by a
URL of any version, by its path, or by what is right of the project.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

BASE = "https://www.googleapis.com/compute/"
V1 = f"{BASE}v1/"
"""What the links in the store begin with."""
REFERENCES = {
    "backendService",
    "defaultService",
    "diskType",
    "group",
    "healthCheck",
    "healthChecks",
    "instance",
    "instanceGroup",
    "instanceGroupManager",
    "instanceTemplate",
    "machineType",
    "network",
    "router",
    "service",
    "source",
    "sourceDisk",
    "securityPolicy",
    "sslCertificates",
    "sslPolicy",
    "subnetwork",
    "target",
    "type",
    "urlMap",
}
"""Fields that name other things."""
AS_GIVEN = {"labels", "metadata", "params", "properties"}
"""Fields whose inside is kept as it was sent."""
SPELLING = re.compile(
    r"(?:https?://[^/]+/)?/?(?:compute/\w+/)?(projects/[^/]+/(?:global|zones|regions)/.+)"
)
PARTIAL = re.compile(r"(?:global|zones|regions)/.+")


def read_path(text: str, project: str) -> str:
    """Return the path of what a text names; empty when it is no name of a thing."""
    found = SPELLING.fullmatch(text)
    if found:
        return found[1]
    return f"projects/{project}/{text}" if PARTIAL.fullmatch(text) else ""


def make_link(path: str) -> str:
    """Return the URL of a path."""
    return f"{V1}{path}"


def normalize(thing: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return a thing whose references are all spelled as the store's."""

    def spell(text: str) -> str:
        path = read_path(text, project)
        return make_link(path) if path else text

    return {key: _change(key, value, spell, REFERENCES) for key, value in thing.items()}


def show(answer: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return an answer whose links are of a version."""
    if version == "v1":
        return dict(answer)

    def spell(text: str) -> str:
        return text.replace(V1, f"{BASE}{version}/", 1) if text.startswith(V1) else text

    return {key: _change(key, value, spell, None) for key, value in answer.items()}


def list_references(thing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield field and path of everything that a thing refers to."""
    for key, value in thing.items():
        if key not in AS_GIVEN:
            yield from _find(key, value)


def _find(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if key in REFERENCES and value.startswith(V1):
            yield key, value.removeprefix(V1)
    elif isinstance(value, dict):
        yield from list_references(value)
    elif isinstance(value, list):
        for one in value:
            yield from _find(key, one)


def _change(key: str, value: Any, spell: Callable[[str], str], only: set[str] | None) -> Any:  # noqa: ANN401 - JSON
    if key in AS_GIVEN:
        return value
    if isinstance(value, dict):
        return {name: _change(name, one, spell, only) for name, one in value.items()}
    if isinstance(value, list):
        return [_change(key, one, spell, only) for one in value]
    if isinstance(value, str) and (only is None or key in only):
        return spell(value)
    return value
