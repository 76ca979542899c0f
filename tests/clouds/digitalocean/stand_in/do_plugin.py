"""Answers the engine as the official `digitalocean` plugin would.

Each operation is carried out on the API at the endpoint that the plugin's own variable names.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import do_droplets
import do_networks
from do_wire import GONE, ApiError, Wire, find_base, find_token
from shared_kinds import Kind
from shared_plugin import Plugin


class DoPlugin(Plugin):
    """The provider."""

    package = "digitalocean"
    version = "4.84.1"
    kinds: ClassVar[Mapping[str, type[Kind]]] = {
        kind.urn_type: kind for kind in (*do_droplets.KINDS, *do_networks.KINDS)
    }
    used_settings = ("apiEndpoint", "token")
    idle_settings = (
        "httpRetryMax",
        "httpRetryWaitMax",
        "httpRetryWaitMin",
        "requestsPerSecond",
        "spacesEndpoint",
    )

    def make_client(self, service: str) -> Any:  # noqa: ANN401 - as every provider's
        """Return the API."""
        del service
        return Wire(
            base=find_base(self.settings),
            token=find_token(self.settings),
            agent=f"Terraform/1.0 pulumi-resource-digitalocean/{self.version}",
        )

    def is_unknown_yet(self, error: BaseException) -> bool:
        """Tell whether an error says that a thing does not exist."""
        return isinstance(error, ApiError) and error.code == GONE
