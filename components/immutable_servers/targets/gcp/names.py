"""Names and describes what the target has at Google.

Most things take no labels. So each name carries a digest over the whole scope, and each thing that
has a description says there whose it is, as one line of JSON: its words.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.tags import SCOPE, Tagging, clean, name_things, of_service

LABELS = Tagging("immutable-", longest=63, lower=True)
"""Labels take 64 for each thing, in lower case.
https://docs.cloud.google.com/compute/docs/labeling-resources#requirements"""
MARK = "immutable-servers"
"""The word that a description of ours begins with; its value is the words' edition."""
HEADER = "X-Immutable-Generation"
"""The balancer names the generation by it in answers, and sends requests with it to one."""


def make_name(scope: Scope) -> str:
    """Return the name of a generation's resources, of a service's, or of the stack's balancer."""
    return name_things(scope, "lb")


def name_tag(scope: Scope) -> str:
    """Return the network tag of a service's servers."""
    return make_name(of_service(scope))


def find_generation(scope: Scope, name: str) -> str:
    """Return the generation whose resources have this name, empty when none of the service's."""
    *_, generation, _ = ("", "", *name.split("-"))
    return generation if make_name(replace(scope, generation=generation)) == name else ""


def name_server(scope: Scope, instance: str) -> str:
    """Return a server's name, as its launch data says it too."""
    return f"{scope.service}-{scope.generation}-{instance.rpartition('-')[2]}"


def name_image(image: str, version: str) -> str:
    """Return an image's name at Google."""
    return f"im-{image}-{version}"


def list_words(scope: Scope) -> dict[str, str]:
    """Return what a scope says, without what it leaves empty."""
    return {word: getattr(scope, word) for word in SCOPE if getattr(scope, word)}


def describe(scope: Scope, **words: str) -> str:
    """Return a thing's description: whose it is, and further words such as `window-ends`."""
    return json.dumps({MARK: 1, **list_words(scope), **words})


def read_words(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return the words in the description of a thing; none when it is not ours."""
    try:
        found = json.loads(thing.get("description") or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict) or MARK not in found:
        return {}
    return {key: str(value) for key, value in found.items() if key != MARK}


def is_of(thing: Mapping[str, Any], scope: Scope) -> bool:
    """Return whether a thing's words name a scope; what the scope leaves empty may be anything."""
    words = read_words(thing)
    return bool(words) and list_words(scope).items() <= words.items()


def make_labels(scope: Scope, **words: str) -> dict[str, str]:
    """Return labels by which a bill can be read; they prove nothing, since values lose letters."""
    named = {**list_words(scope), **words}
    return LABELS.write({word: clean(text, 63).lower() for word, text in named.items()})


def last_part(link: str) -> str:
    """Return the name at the end of a link or a path of Google's."""
    return link.rpartition("/")[2]
