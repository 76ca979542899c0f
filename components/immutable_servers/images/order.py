"""The inputs of one image resource, as its provider reads them back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.contract.values import Artifact, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.settings import ImageSettings
from immutable_servers.targets.place import Place, read_place


@dataclass(frozen=True)
class Order:
    """An image version to bake or to find.

    Attributes:
        wanted: A generation or a child image needs it in this run.
        secrets: Sensitive template variables by name.
    """

    image: str
    version: str
    settings: ImageSettings
    place: Place
    parent: Artifact | None
    wanted: bool
    secrets: dict[str, str] = field(repr=False, default_factory=dict)

    @property
    def scope(self) -> Scope:
        """The scope that progress lines name: image and version."""
        return Scope(self.place.scope.project, self.place.scope.stack, self.image, self.version)


def read_order(props: Mapping[str, Any]) -> Order:
    """Read the order from a resource's inputs."""
    parent = props.get("parent")
    return Order(
        image=props["image"],
        version=props["version"],
        settings=ImageSettings.model_validate(props["image_settings"]),
        place=read_place(props),
        parent=Artifact.from_plain(parent) if parent else None,
        wanted=bool(props["wanted"]),
    )


def read_secrets(order: Order, get: Callable[[str], Any]) -> dict[str, str]:
    """Return the values of the secrets that an image names; `get` looks one up by its key.

    Raises:
        SettingsError: The stack's configuration lacks one.
    """
    found = {name: get(name) for name in order.settings.secrets}
    missing = [name for name, value in found.items() if value is None]
    if missing:
        raise SettingsError(
            f"The bake of image {order.image} lacks {', '.join(missing)}",
            facts=[f"images.{order.image}.secrets names keys of this stack's configuration"],
            todo=f"pulumi config set --secret {missing[0]} --stack {order.place.scope.stack}",
        )
    return {name: str(value) for name, value in found.items()}
