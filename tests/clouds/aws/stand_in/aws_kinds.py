"""What each resource type of Amazon's is: its inputs are the members of the API's shapes.

Each line of `replacements.json` has its source.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import shared_kinds
import tenacity
from aws_wire import Names, refresh, render, unrender
from botocore.exceptions import ClientError
from shared_wire import IMPORTED, Values, covers, is_unknown, read_meant

DELETE_SECONDS = 60.0
"""How long a delete is tried again while something still uses the resource."""


class Kind(shared_kinds.Kind):
    """One resource type of Amazon's.

    Attributes:
        settings: Properties that no API shape names.
        names: What Pulumi calls otherwise than the API.
        operation: The service, and its operation whose input holds the inputs.
    """

    replacements = Path(__file__).with_name("replacements.json")
    settings: ClassVar[Sequence[str]] = ()
    names: ClassVar[Names] = {}
    operation: ClassVar[tuple[str, str]]

    @property
    def shape(self) -> Any:  # noqa: ANN401 - botocore's shapes
        """The API's shape that holds the inputs."""
        return self.find_input_shape(*self.operation)

    @abstractmethod
    def read_outputs(self, identity: str, found: Values) -> Values:
        """Return its computed outputs."""

    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return inputs and outputs, and all tags."""
        tags = {"tagsAll": inputs["tags"]} if isinstance(inputs.get("tags"), dict) else {}
        return {**inputs, **tags, **self.read_outputs(identity, found)}

    def find_changed(self, olds: Values, news: Values) -> list[str]:
        """Compare inputs; an imported resource has more than a program asks for."""
        if olds.get(IMPORTED):
            return sorted(key for key in news if not covers(olds.get(key), news[key]))
        old = read_meant(olds)
        return sorted(key for key in {*old, *news} if old.get(key) != news.get(key))

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
