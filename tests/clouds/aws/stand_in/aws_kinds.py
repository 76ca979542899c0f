"""What each resource type of the stand-in is: the operations that the engine asks for, on the API.

Which change replaces a resource is data, `replacements.json`, each line with its source. A property
that a type does not know fails its check, so that nothing is ever left out without a word.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import tenacity
from aws_wire import Names, Values, is_unknown, refresh, render, unrender
from botocore.exceptions import ClientError

Clients = Callable[[str], Any]
"""Gives the SDK's client of a service by its name."""

DELETE_SECONDS = 60.0
"""How long a delete is tried again while something still uses the resource."""


@cache
def read_replacements() -> Mapping[str, Mapping[str, str]]:
    """Return for each type the properties whose change replaces the resource, with their source."""
    found: Mapping[str, Mapping[str, str]] = json.loads(
        Path(__file__).with_name("replacements.json").read_text()
    )
    return found


class Kind(ABC):
    """One resource type.

    Attributes:
        urn_type: Its name in the engine, such as `aws:lb/listener:Listener`.
        computed: Outputs that are known only once it exists.
        settings: Properties that no API shape names.
        names: What Pulumi calls otherwise than the API.
        defaults: What the official plugin fills in before it compares.
        longest_name: How long an automatic name may get; 0 where it has none.
    """

    urn_type: ClassVar[str]
    computed: ClassVar[Sequence[str]] = ()
    settings: ClassVar[Sequence[str]] = ()
    names: ClassVar[Names] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    longest_name: ClassVar[int] = 0

    def __init__(self, clients: Clients) -> None:
        """Take the clients; nothing is asked yet."""
        self.clients = clients

    @property
    @abstractmethod
    def shape(self) -> Any:  # noqa: ANN401 - botocore's shapes
        """The API's shape that holds the inputs."""

    @abstractmethod
    def create(self, inputs: Values) -> str:
        """Create it and return its id."""

    @abstractmethod
    def describe(self, identity: str) -> Values | None:
        """Return what the API says of it, in the shape of the inputs; None when it is gone."""

    @abstractmethod
    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its computed outputs."""

    @abstractmethod
    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change it in place."""

    @abstractmethod
    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it to the end; what is gone is no error."""

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Return the changed properties that make a new resource."""
        return [
            name for name in read_replacements()[self.urn_type] if olds.get(name) != news.get(name)
        ]

    def find_unsettled(self, olds: Values, news: Values) -> Sequence[str]:
        """Return the outputs that an update in place changes."""
        del olds, news
        return ()

    def find_unknown(self, inputs: Values) -> list[str]:
        """Return the properties that this stand-in does not carry out."""
        known = {
            *self.settings,
            *(self.names.get(m, m[0].lower() + m[1:]) for m in self.shape.members),
        }
        return sorted(name for name in inputs if name not in known and not name.startswith("__"))

    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs as the API has them now."""
        kept = {key: value for key, value in inputs.items() if value is not None}
        asked = {key: value for key, value in kept.items() if not is_unknown(value)}
        fresh: Values = refresh(self.shape, asked, found, self.names)
        return {**kept, **fresh}

    def import_inputs(self, found: Values) -> Values:
        """Return the inputs of a resource that no program has declared yet."""
        imported: Values = unrender(self.shape, found, self.names)
        return {**self.defaults, **imported}

    def render(self, inputs: Values, *names: str) -> Values:
        """Return the inputs, or those that the members `names` hold, as the API takes them."""
        rendered: Values = render(self.shape, inputs, self.names)
        return {name: rendered[name] for name in names if name in rendered} if names else rendered

    def find_input_shape(self, service: str, operation: str) -> Any:  # noqa: ANN401 - as above
        """Return the shape of an operation's input."""
        return self.clients(service).meta.service_model.operation_model(operation).input_shape


def get_one(call: Callable[..., Values], key: str, *gone: str, **arguments: Any) -> Values | None:  # noqa: ANN401
    """Return the one thing that a describe call finds; None when there is none.

    Args:
        call: The client's method.
        key: Where its answer holds the list.
        gone: Error codes that say that there is none.
        arguments: The call's.
    """
    try:
        found: Sequence[Values] = call(**arguments)[key]
    except ClientError as error:
        if read_code(error) in gone:
            return None
        raise
    return found[0] if found else None


def read_code(error: BaseException) -> str:
    """Return the API's code of an error, empty when it is none of the API's."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def delete_unless_gone(
    call: Callable[..., Any],
    gone: Sequence[str],
    in_use: Sequence[str] = (),
    **arguments: Any,  # noqa: ANN401 - the call's own
) -> None:
    """Delete, again while something still uses it, as the official plugin does."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: read_code(error) in in_use),
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(DELETE_SECONDS),
        reraise=True,
    )
    try:
        attempts(call, **arguments)
    except ClientError as error:
        if read_code(error) not in gone:
            raise


def compare_tags(olds: Values, news: Values) -> tuple[dict[str, str], list[str]]:
    """Return the tags to write and the names of those to remove."""
    old, new = olds.get("tags") or {}, news.get("tags") or {}
    written = {key: value for key, value in new.items() if old.get(key) != value}
    return written, [key for key in old if key not in new]
