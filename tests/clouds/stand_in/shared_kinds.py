"""What a resource type of a stand-in is: the operations that the engine asks for, on an API.

Which change replaces a resource is data, `replacements.json` beside the stand-in. A property that a
type does not know fails its check, so that nothing is ever left out without a word.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from shared_wire import Values

Clients = Callable[[str], Any]
"""Gives the client of a service by its name."""


@cache
def read_replacements(file: Path) -> Mapping[str, Sequence[str] | Mapping[str, str]]:
    """Return for each type the properties whose change replaces the resource."""
    found: Mapping[str, Sequence[str] | Mapping[str, str]] = json.loads(file.read_text())
    return found


class Kind(ABC):
    """One resource type.

    Attributes:
        urn_type: Its name in the engine, such as `aws:lb/listener:Listener`.
        replacements: The file that says what replaces a resource.
        computed: Outputs that are known only once it exists.
        defaults: What the official plugin fills in before it compares.
        longest_name: How long an automatic name may get; 0 where it has none.
        state: What the engine keeps of the resource, where an operation begins with it.
        ignored: Inputs whose changes a program ignores.
    """

    urn_type: ClassVar[str]
    replacements: ClassVar[Path]
    computed: ClassVar[Sequence[str]] = ()
    defaults: ClassVar[Mapping[str, Any]] = {}
    longest_name: ClassVar[int] = 0

    def __init__(self, clients: Clients) -> None:
        """Take the clients; nothing is asked yet."""
        self.clients = clients
        self.state: Values = {}
        self.ignored: Sequence[str] = ()

    def complete_identity(self, identity: str) -> str:
        """Return the whole id of one that a program may name in short."""
        return identity

    @abstractmethod
    def create(self, inputs: Values) -> str:
        """Create it and return its id."""

    @abstractmethod
    def describe(self, identity: str) -> Values | None:
        """Return what the API says of it; None when it is gone."""

    @abstractmethod
    def render_state(self, identity: str, inputs: Values, found: Values) -> Values:
        """Return its whole state: inputs and outputs."""

    @abstractmethod
    def update(self, identity: str, olds: Values, news: Values) -> None:
        """Change it in place."""

    @abstractmethod
    def delete(self, identity: str, inputs: Values) -> None:
        """Delete it to the end; what is gone is no error."""

    @abstractmethod
    def find_changed(self, olds: Values, news: Values) -> list[str]:
        """Return the names of the inputs that differ; `olds` has the engine's own words too."""

    @abstractmethod
    def find_unknown(self, inputs: Values) -> list[str]:
        """Return the properties that this stand-in does not carry out."""

    @abstractmethod
    def refresh_inputs(self, inputs: Values, found: Values) -> Values:
        """Return the inputs as the API has them now."""

    @abstractmethod
    def import_inputs(self, found: Values) -> Values:
        """Return the inputs of a resource that no program has declared yet."""

    def find_replaced(self, olds: Values, news: Values) -> list[str]:
        """Return the changed properties that make a new resource."""
        names = read_replacements(self.replacements)[self.urn_type]
        return [name for name in names if olds.get(name) != news.get(name)]

    def find_unsettled(self, olds: Values, news: Values) -> Sequence[str]:
        """Return the outputs that an update in place changes."""
        del olds, news
        return ()
