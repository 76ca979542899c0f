"""Names and tags what the target has at DigitalOcean.

A tag is one text, which the whole account shares and compares without regard to case. So a tag of
ours is a word, the name of the scope that it is about, and a value, all in lower case:
`immutable:live:web-0f1e2d3c`, `immutable:record-00:web-3f2a9c41-4b5a6978:pbsw...`.
https://docs.digitalocean.com/reference/api/digitalocean/#tag/Tags
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.targets.cloud.ends import WINDOW
from immutable_servers.targets.cloud.tags import Records, Tagging, name_things, of_service

PREFIX = "immutable:"
TAGGING = Tagging(PREFIX, longest=180, lower=True)
"""A tag has 255 characters: a value leaves room for its word and for the name of its scope."""
RECORDS = Records(TAGGING, most=20)
"""Nothing says how many tags a droplet takes."""
SCOPE, PROBING = "scope-", "probing-"
"""Words of whose a droplet is that serves, and of whose one that nobody ever counts."""
COUNT = "count"
ACTIVE = "active"
"""The status of a droplet that runs."""
IMAGES = "immutable-servers"


def make_name(scope: Scope) -> str:
    """Return the name of a generation's things, of a service's, or of what the stack has once."""
    return name_things(scope, "im")


def name_server(scope: Scope, number: int) -> str:
    """Return a server's name, which is its host name, too; servers count from 1."""
    return f"{scope.service}-{scope.generation}-{number}"


def name_image(image: str, version: str) -> str:
    """Return a snapshot's name at DigitalOcean."""
    return f"{IMAGES}/{image}/{version}"


def make_tag(word: str, scope: Scope, value: str = "") -> str:
    """Return a tag that says a word of a scope, with a value in lower case or without one."""
    return f"{PREFIX}{word}:{make_name(scope)}{value and f':{value}'}"


def tag_service(scope: Scope) -> str:
    """Return the tag of all droplets of a service, which its constant firewall goes by."""
    return make_tag("service", of_service(scope))


def tag_generation(scope: Scope) -> str:
    """Return the tag of a generation's droplets."""
    return make_tag("generation", scope)


def tag_live(scope: Scope) -> str:
    """Return the tag of the droplets that the service's balancer passes requests to."""
    return make_tag("live", of_service(scope))


def tag_reserved(scope: Scope, address: str) -> str:
    """Return the tag that says that a reserved address is a service's; nothing has it."""
    return make_tag("reserved", of_service(scope)) + f":{address.replace('.', '-')}"


def tag_leaving(scope: Scope) -> str:
    """Return the tag of a generation whose deletion has begun."""
    return make_tag("leaving", scope)


def tag_window(scope: Scope, end: int) -> str:
    """Return the tag of a generation's open login window, which says when it closes."""
    return make_tag(WINDOW, scope, str(end))


def tag_count(scope: Scope, servers: int) -> str:
    """Return the tag that says how many droplets a generation should have."""
    return make_tag(COUNT, scope, str(servers))


def write_words(scope: Scope, words: Mapping[str, str]) -> list[str]:
    """Return tags of a scope for what `TAGGING` writes."""
    return [f"{key}:{make_name(scope)}:{value}" for key, value in words.items()]


def group_words(tags: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what tags of ours say, by the name of the scope that they are about.

    Tags outlive what had them: those of an account name all that it has of ours.
    """
    found: dict[str, dict[str, str]] = {}
    for tag in tags:
        key, _, rest = tag.removeprefix(PREFIX).partition(":")
        name, _, value = rest.partition(":")
        if tag.startswith(PREFIX):
            found.setdefault(name, {})[f"{PREFIX}{key}"] = value
    return found


def read_words(scope: Scope, tags: Iterable[str]) -> dict[str, str]:
    """Return what tags say of a scope, by keys of `TAGGING`; a word alone has an empty value."""
    return group_words(tags).get(make_name(scope), {})


def unpack_record(scope: Scope, tags: Iterable[str]) -> dict[str, Any]:
    """Return the record of a generation among the tags of one of its droplets.

    Raises:
        LedgerError: It is missing or damaged: unreadable is never empty.
    """
    return RECORDS.parse(read_words(scope, tags), make_name(scope))


def unpack_launch(scope: Scope, tags: Iterable[str]) -> Launch:
    """Return how a generation was launched, by the record among a droplet's tags.

    Raises:
        LedgerError: The record is missing or damaged.
    """
    return Launch.from_plain(unpack_record(scope, tags)["launch"])


def list_tags(scope: Scope, record: Mapping[str, Any]) -> list[str]:
    """Return the tags that a generation's droplets are launched with: whose they are, the record.

    Raises:
        LaunchError: The record is too large.
    """
    whose, packed = list_whose(scope), write_words(scope, RECORDS.render(record))
    return [tag_service(scope), tag_generation(scope), *whose, *packed]


def list_whose(scope: Scope, word: str = SCOPE) -> list[str]:
    """Return the tags that say the whole scope of a thing, by `SCOPE` or `PROBING`."""
    return write_words(scope, TAGGING.pack(word, asdict(scope)))


def list_scopes(tags: Iterable[str], word: str = SCOPE) -> Iterator[Scope]:
    """Yield the whole scopes that tags say, each of its own name."""
    for name, words in group_words(tags).items():
        with suppress(ValueError, TypeError):
            scope = Scope(**TAGGING.unpack(word, words))
            if make_name(scope) == name:
                yield scope


def read_whose(tags: Iterable[str], word: str = SCOPE) -> Scope | None:
    """Return the whole scope that a thing's tags say; None where they do not say it."""
    return next(list_scopes(tags, word), None)


def read_scope(tags: Sequence[str]) -> Scope | None:
    """Return the whole scope of a droplet of ours that serves; None where its tags say none."""
    scope = read_whose(tags)
    return scope if scope and tag_generation(scope) in tags else None


def find_generation(scope: Scope, tags: Iterable[str]) -> str:
    """Return the generation of a service that a droplet's tags name; empty without one."""
    word = f"{PREFIX}generation:{scope.service}-"
    for tag in tags:
        generation = tag.removeprefix(word).partition("-")[0]
        if tag.startswith(word) and tag == tag_generation(replace(scope, generation=generation)):
            return generation
    return ""
