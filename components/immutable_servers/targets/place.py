"""What the resources of one stack share: the target, whose things they are, the settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Scope
from immutable_servers.targets import load_target


@dataclass(frozen=True)
class Place:
    """A target and a scope, as resources carry them among their inputs.

    Attributes:
        target: The target's name.
        settings: Its settings as plain values.
    """

    target: str
    settings: dict[str, Any]
    scope: Scope

    def to_inputs(self) -> dict[str, Any]:
        """Return the input `place`.

        It is one text: the engine and the SDK walk through every value of every resource several
        times in a run, and each resource of ours has a place.
        """
        plain = {
            "target": self.target,
            "settings": self.settings,
            "scope": self.scope.to_plain(),
        }
        return {"place": json.dumps(plain, sort_keys=True)}

    def of(self, service: str, generation: str = "") -> "Place":
        """Return the place of a service or of one of its generations."""
        return replace(self, scope=replace(self.scope, service=service, generation=generation))

    def at(self, generation: str) -> "Place":
        """Return the place of one generation of this service."""
        return replace(self, scope=replace(self.scope, generation=generation))

    def load(self) -> Target:
        """Make the target."""
        return load_target(self.target, self.settings)


def read_place(inputs: Mapping[str, Any]) -> Place:
    """Read back what `Place.to_inputs` wrote."""
    plain = json.loads(inputs["place"])
    return Place(plain["target"], plain["settings"], Scope.from_plain(plain["scope"]))
