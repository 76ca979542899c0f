"""`MachineImage`: one image version under a fixed name, so that a new version is a replacement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.errors import LEAVE_NOTHING_OUT, ImageError
from immutable_servers.images.provider import ImageProvider
from immutable_servers.resources.outputs import drop_dependency
from immutable_servers.settings import ImageSettings
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedResource


@dataclass(frozen=True)
class MachineImageArgs:
    """Inputs of a machine image.

    Attributes:
        settings: Its section of the stack file.
        version: Computed from the checkout; the bake computes it again and refuses another.
        digest: The same, of the digest.
        parent: The image that it is baked from.
        wanted: This run needs the artifact: it is baked when the catalog lacks it.
    """

    settings: ImageSettings
    version: str
    digest: str
    place: Place
    parent: "MachineImage | None"
    wanted: bool


class Image(PlacedResource, module="immutable-servers", name="Image"):
    """The dynamic resource behind a machine image."""

    artifact: Output[str]
    details: Output[dict[str, Any]]

    def __init__(
        self, name: str, place: Place, inputs: Mapping[str, Input[Any]], opts: ResourceOptions
    ) -> None:
        """Register under the image's name."""
        super().__init__(ImageProvider(), name, place, inputs, ("artifact", "details"), opts)


class MachineImage(pulumi.ComponentResource):
    """A versioned machine image.

    Attributes:
        version: 12 hex digits, known before anything is built.
        artifact: The target's id of what was baked or found.
        details: The artifact with its lineage, as plain values.
    """

    artifact: Output[str]
    details: Output[dict[str, Any]]

    def __init__(
        self, name: str, args: MachineImageArgs, opts: ResourceOptions | None = None
    ) -> None:
        """Register the image, which bakes the version or finds it."""
        super().__init__("immutable-servers:index:MachineImage", name, {}, opts)
        self.name, self.version, self.digest = name, args.version, args.digest
        self.wanted = args.wanted
        inputs: dict[str, Input[Any]] = {
            "image": name,
            "version": args.version,
            "digest": args.digest,
            "wanted": args.wanted,
            "parent": args.parent.details if args.parent else None,
            "image_settings": args.settings.model_dump(mode="json"),
        }
        options = ResourceOptions(parent=self, retain_on_delete=True)
        image = Image(name, args.place, inputs, options)
        self.details = drop_dependency(image.details).apply(self._refuse_another)
        self.artifact = self.details.apply(lambda details: str(details.get("id", "")))
        self.register_outputs({"version": args.version, "artifact": self.artifact})

    def _refuse_another(self, details: Mapping[str, Any]) -> dict[str, Any]:
        """Return the artifact's details; refuse another version than this run needs.

        Under `--exclude` and `--target` the engine hands out what the state holds of a resource
        that it leaves out: the artifact of the version before.
        """
        found = details.get("version"), details.get("digest") or self.digest
        if self.wanted and found != (self.version, self.digest):
            error = ImageError(
                f"This run leaves out the image {self.name} {self.version}",
                facts=[f"the state holds version {found[0] or 'none'}, digest {found[1]}"],
                todo=LEAVE_NOTHING_OUT,
            )
            raise pulumi.RunError(str(error))
        return dict(details)
