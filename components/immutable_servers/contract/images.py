"""The role that bakes images, finds them by (image, version), and deletes those nobody uses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError


class Packer(ABC):
    """Runs Packer on a staged template under one deadline (see `images/packer.py`)."""

    @abstractmethod
    def build(
        self, variables: Mapping[str, str], watch: Callable[[str], None] | None = None
    ) -> Mapping[str, Any]:
        """Build with these variables beside the request's own.

        Args:
            variables: Those that the target's template declares.
            watch: Is called each second with Packer's last line; an error that it raises ends
                Packer.

        Returns:
            The build's entry of the manifest post-processor (`artifact_id`, `custom_data`, ...).

        Raises:
            ImageError: With Packer's own message, its line, and the log file.
        """


class Images(ABC):
    """The images of a target: its catalog, its upstreams and its bakes."""

    @abstractmethod
    def find(self, image: str, version: str) -> Artifact | None:
        """Return the whole and usable artifact of this version, or None."""

    @abstractmethod
    def list(self) -> Sequence[Artifact]:
        """Return every artifact of this project's images, oldest first."""

    @abstractmethod
    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark on an artifact; an empty value removes it."""

    @abstractmethod
    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Look outside and return a new lock entry (called by `./immutable update` only)."""

    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Bake one version and return its whole artifact, as the catalog has it afterwards.

        Raises:
            ImageError: The bake failed, or left no whole artifact.
        """
        self._bake(request, packer)
        artifact = self.find(request.image, request.version)
        if artifact is None:
            raise ImageError(
                f"The bake of image {request.image} left no whole artifact",
                facts=[f"version {request.version} is not in the catalog"],
                todo="Run the same command again; somebody may have deleted it meanwhile.",
            )
        return artifact

    @abstractmethod
    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Bake one version, marked whole as the last step; leave nothing behind on a failure."""

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Return the inputs of an artifact's version as its bake recorded them; empty without.

        Previews compare them with the checkout's. Not abstract: a target that keeps none, or keeps
        them among the facts under `manifest`, has nothing to add.
        """
        found = artifact.facts.get("manifest")
        return found if isinstance(found, Mapping) else {}

    def delete(self, artifact: Artifact) -> None:
        """Delete an artifact that nothing refers to.

        Raises:
            ImageError: A server runs it, or another image was baked from it.
        """
        children = [
            f"{child.id} was baked from it"
            for child in self.list()
            if child.parents.get(artifact.image) == artifact.version
        ]
        users = [*children, *self._find_users(artifact)]
        if users:
            raise ImageError(
                f"The artifact {artifact.id} cannot be deleted",
                facts=users,
                todo="Delete what is named first.",
            )
        self._delete(artifact)

    @abstractmethod
    def _find_users(self, artifact: Artifact) -> Sequence[str]:
        """Return a sentence for each server, of any stack, that runs the artifact."""

    @abstractmethod
    def _delete(self, artifact: Artifact) -> None:
        """Delete an artifact with all that belongs to it; what is gone is no error."""
