"""`Release <service>`: shows in a plain preview that one generation replaces another."""

from typing import Any

from pulumi import ResourceOptions, dynamic

from immutable_servers.resources.dynamic import Provider, Resource


class ReleaseProvider(Provider):
    """Holds nothing: its replacement is the message."""

    replaces = ("generation",)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Use the generation's name as the id."""
        return dynamic.CreateResult(f"{props['service']}-{props['generation']}", props)


class Release(Resource, module="immutable-servers", name="Release"):
    """A service's desired generation under a fixed name, so that `+-` names old and new ids."""

    def __init__(
        self, service: str, generation: str, images: dict[str, str], opts: ResourceOptions
    ) -> None:
        """Register under the service's name."""
        inputs = {"service": service, "generation": generation, "images": images}
        super().__init__(ReleaseProvider(), service, inputs, (), opts)
