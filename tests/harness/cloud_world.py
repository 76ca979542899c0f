"""An emulated account or project with what a target declares, made without the engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope

STACK = Scope("project", "dev")
WEB = Scope("project", "dev", "web")
RECORD: Mapping[str, Any] = {
    "generation": "3f2a9c41",
    "order": 1,
    "env": {"GREETING": "hello"},
}


class CloudWorld(ABC):
    """What tests of a target's functions ask of its cloud."""

    @abstractmethod
    def make_target(self, **settings: Any) -> Target:  # noqa: ANN401 - plain values
        """Return a target there."""

    @abstractmethod
    def make_fleet(self, scope: Scope, servers: int = 2, **record: Any) -> object:  # noqa: ANN401 - plain
        """Make all of a generation."""

    @abstractmethod
    def find_left(self, scope: Scope) -> list[str]:
        """Return the names of what there is of a generation."""

    @abstractmethod
    def wait_until_healthy(self, scope: Scope) -> None:
        """Wait until a generation's servers are healthy."""


WorldT = TypeVar("WorldT", bound=CloudWorld)
