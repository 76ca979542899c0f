"""Google's discovery documents: which methods there are, and what requests and answers look like.

They come with google-api-python-client, so the emulator is held against what Google publishes.
https://developers.google.com/discovery/v1/reference/apis
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import googleapiclient.discovery_cache

FOLDER = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
VERSIONS = {
    "compute/v1": "compute.v1",
    "compute/beta": "compute.beta",
    "iam": "iam.v1",
    "monitoring": "monitoring.v3",
    "serviceusage": "serviceusage.v1",
    "cloudresourcemanager": "cloudresourcemanager.v1",
}
"""Documents by the path under which the emulator serves each."""
EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Method:
    """One method of an API.

    Attributes:
        name: Such as `compute.urlMaps.patch`: the same in v1 and in beta.
        place: Key of `VERSIONS`.
        words: The document's own description.
    """

    name: str
    place: str
    words: Mapping[str, Any]

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return str(self.words["httpMethod"])

    @property
    def collection(self) -> str:
        """Such as `urlMaps`, or `projects.serviceAccounts`."""
        return self.name.split(".", 1)[1].rpartition(".")[0]

    @property
    def action(self) -> str:
        """Such as `patch`."""
        return self.name.rpartition(".")[2]

    @property
    def path(self) -> str:
        """Where it is asked for, with names in braces."""
        return str(self.words.get("flatPath") or self.words["path"])

    @property
    def answer(self) -> str:
        """The schema of its answer; empty when it has none."""
        return str(self.words.get("response", EMPTY).get("$ref", ""))

    @property
    def request(self) -> str:
        """The schema of its body; empty when it takes none."""
        return str(self.words.get("request", EMPTY).get("$ref", ""))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of its path."""
        parts = re.split(r"\{(\w+)\}", self.path)
        named = [
            f"(?P<{one}>[^/:]+)" if number % 2 else re.escape(one)
            for number, one in enumerate(parts)
        ]
        return re.compile("".join(named))

    @property
    def literals(self) -> int:
        """How many parts of its path are given: of two that match, the one with more is meant."""
        return len([part for part in self.path.split("/") if not part.startswith("{")])


class Document:
    """One API in one version."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.words = json.loads((FOLDER / f"{VERSIONS[place]}.json").read_text())
        self.schemas: Mapping[str, Any] = self.words["schemas"]
        self.common: Mapping[str, Any] = self.words["parameters"]
        self.methods: dict[tuple[str, int], list[Method]] = {}
        for method in self._list_methods(self.words):
            length = method.path.count("/")
            self.methods.setdefault((method.verb, length), []).append(method)

    def _list_methods(self, words: Mapping[str, Any]) -> Iterator[Method]:
        for resource in words.get("resources", EMPTY).values():
            for method in resource.get("methods", EMPTY).values():
                yield Method(method["id"], self.place, method)
            yield from self._list_methods(resource)

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """Return the method that a request is for, and the names in its path."""
        found = [
            (method, match.groupdict())
            for method in self.methods.get((verb, path.count("/")), ())
            if (match := method.pattern.fullmatch(path))
        ]
        return max(found, key=lambda one: one[0].literals, default=None)


@lru_cache(maxsize=len(VERSIONS))
def read_document(place: str) -> Document:
    """Return the document that is served under a path."""
    return Document(place)
