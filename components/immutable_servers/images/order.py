"""The inputs of one image resource, as its provider reads them back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from immutable_servers.contract.values import Artifact, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.settings import ImageSettings
from immutable_servers.settings.defaults import DEFAULTS, merge_defaults
from immutable_servers.settings.models import BakeSettings
from immutable_servers.settings.stack_files import parse_text
from immutable_servers.targets.place import Place, read_place


@dataclass(frozen=True)
class Order:
    """An image version to bake or to find.

    Attributes:
        wanted: A generation or a child image needs it in this run.
        secrets: Sensitive template variables by name.
        bake: How the bake reaches the outside; in no state either.
    """

    image: str
    version: str
    digest: str
    settings: ImageSettings
    place: Place
    parent: Artifact | None
    wanted: bool
    secrets: dict[str, str] = field(repr=False, default_factory=dict)
    bake: BakeSettings = field(repr=False, default=BakeSettings())

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
        digest=props["digest"],
        settings=ImageSettings.model_validate(props["image_settings"]),
        place=read_place(props),
        parent=Artifact.from_plain(parent) if parent else None,
        wanted=bool(props["wanted"]),
    )


def read_bake(get: Callable[[str], Any]) -> BakeSettings:
    """Return the setting `bake`, over its default; `get` looks up a key of the configuration."""
    handed = {key: get(key) for key in ("bake", DEFAULTS)}
    values = {key: parse_text(text) for key, text in handed.items() if text}
    return BakeSettings.model_validate(merge_defaults(values).get("bake") or {})


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
