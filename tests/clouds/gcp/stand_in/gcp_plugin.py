"""Answers the engine as the official `gcp` plugin would.

Each operation is carried out on the API at the endpoints that the plugin's own variables name.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import gcp_balancing
import gcp_computing
from gcp_wire import GONE, GoogleError, Wire, find_base
from shared_kinds import Kind
from shared_plugin import Plugin

ATTRIBUTION = {"goog-pulumi-provisioned": "true"}


class GcpPlugin(Plugin):
    """The provider."""

    package = "gcp"
    version = "10.2.0"
    kinds: ClassVar[Mapping[str, type[Kind]]] = {
        kind.urn_type: kind for kind in (*gcp_balancing.KINDS, *gcp_computing.KINDS)
    }
    used_settings = ("project", "region", "addPulumiAttributionLabel")
    idle_settings = ("zone", "pollInterval", "requestTimeout")

    def make_client(self, service: str) -> Any:  # noqa: ANN401 - as every provider's
        """Return the API."""
        labelled = str(self.settings.get("addPulumiAttributionLabel", True)).lower() == "true"
        return Wire(
            base=find_base(service),
            agent=f"Terraform/1.0 pulumi-resource-gcp/{self.version}",
            project=str(self.settings.get("project", "")),
            region=str(self.settings.get("region", "")),
            labels=ATTRIBUTION if labelled else {},
        )

    def is_unknown_yet(self, error: BaseException) -> bool:
        """Tell whether an error says that a thing does not exist."""
        return isinstance(error, GoogleError) and error.code == GONE
