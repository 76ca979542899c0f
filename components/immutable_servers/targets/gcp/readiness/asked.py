"""What the checks of one `doctor` share: the stack, the project, and what was read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from immutable_servers.targets.cloud.readiness import CloudAsked
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.names import is_of
from immutable_servers.targets.gcp.network import find_machines
from immutable_servers.targets.gcp.settings import GcpSettings


@dataclass(frozen=True)
class Asked(CloudAsked[Api, GcpSettings]):
    """A stack, the project it is to be in, and answers that several checks read."""

    @cached_property
    def machines(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Each machine type of the stack, as the zones of the servers have it.

        Raises:
            SettingsError: None has one.
        """
        return {kind: find_machines(self.api, kind) for kind in self.wanted_types}

    def find_ours(self, collection: str) -> Sequence[Mapping[str, Any]]:
        """Return the things of a collection that say that they are this stack's."""
        return [one for one in self.api.list(collection) if is_of(one, self.demand.scope)]
