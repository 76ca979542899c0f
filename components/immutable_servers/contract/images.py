"""The role that bakes images, finds them by (image, version), and deletes those nobody uses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from immutable_servers.contract.digests import digest_inputs, join_digests, shorten
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError, SettingsError

REVOKED = "revoked"
"""The mark of an artifact that must not be launched any more; its value is the reason."""


class Packer(ABC):
    """Runs Packer on a staged template under one deadline (see `images/packer.py`)."""

    @abstractmethod
    def build(
        self,
        variables: Mapping[str, str],
        watch: Callable[[str], None] | None = None,
        programs: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Build with these variables beside the request's own.

        Args:
            variables: Those that the target's template declares.
            watch: Is called each second with Packer's last line; an error that it raises ends
                Packer.
            programs: A folder whose programs Packer finds before all others.
            environment: Variables of Packer's environment, in place of ours of the same names; an
                empty value takes one away.

        Returns:
            The build's entry of the manifest post-processor (`artifact_id`, `custom_data`, ...).

        Raises:
            ImageError: With Packer's own message, its line, and the log file.
        """


class Images(ABC):
    """The images of a target: its catalog, its upstreams and its bakes."""

    def find(self, image: str, version: str, digest: str) -> Artifact | None:
        """Return the whole and usable artifact of this version and digest, or None.

        An artifact that does not say what it was baked from is as good as none.

        Args:
            image: The image's name.
            version: Twelve digits.
            digest: What the artifact has to be. Empty where nobody knows: for a generation of an
                early program, and to show what is there.

        Raises:
            ImageError: The artifact of this version has another digest.
        """
        artifact = self._find(image, version)
        if artifact is None or not digest:
            return artifact
        found = self.find_digest(artifact)
        if found and found != digest:
            raise _is_another(artifact, wanted=digest, found=found)
        return replace(artifact, digest=found) if found else None

    @abstractmethod
    def _find(self, image: str, version: str) -> Artifact | None:
        """Return the whole and usable artifact that has the name of this version, or None."""

    def find_digest(self, artifact: Artifact) -> str:
        """Return the digest that an artifact's bake has kept; empty when nothing says it.

        That of an early program has kept the inputs alone: it is computed from them, and from those
        of the parent.
        """
        if artifact.digest:
            return artifact.digest
        manifest = self.find_manifest(artifact)
        try:
            own = digest_inputs(manifest) if manifest else ""
        except SettingsError:  # somebody else wrote it
            own = ""
        if shorten(own) != artifact.version:
            return ""
        parent, version = manifest.get("parent"), manifest.get("parent_version")
        if not parent:
            return own
        above = self._find(str(parent), str(version))
        known = self.find_digest(above) if above else ""
        return join_digests(own, known) if known else ""

    def refuse_unproven(self, image: str, version: str) -> None:
        """Refuse to bake a version whose name is taken by an artifact that `find` passes over.

        Raises:
            ImageError: There is one.
        """
        artifact = self._find(image, version)
        if artifact and not self.find_digest(artifact):
            raise ImageError(
                f"The artifact of image {image} {version} does not say what it was baked from",
                facts=[
                    f"{artifact.id} has kept neither a digest nor all of its inputs",
                    "It is not used for new servers, and nothing is baked over it.",
                ],
                todo=_make_way_out(image),
            )

    def refuse_unfit(self, artifact: Artifact | None) -> None:
        """Refuse to launch or bake from an artifact to which the target's settings do not fit.

        None is an image that is about to be baked. Asked in the preview. Not abstract: a target
        where everything fits has nothing to add.

        Raises:
            ImmutableError: With both sides, and which setting to change.
        """
        del artifact

    @abstractmethod
    def list(self) -> Sequence[Artifact]:
        """Return every artifact of this project's images, oldest first."""

    @abstractmethod
    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark on an artifact; an empty value removes it."""

    @abstractmethod
    def find_upstream(
        self, image_settings: Mapping[str, Any], known: Mapping[str, Any], say: Say
    ) -> dict[str, Any]:
        """Look outside and return a new lock entry (called by `./immutable update` only).

        `known` is the lock's entry, empty without one; what is older than that is refused.
        """

    def find_revoked(
        self, images: Mapping[str, str], found: Collection[Artifact] = ()
    ) -> Artifact | None:
        """Return the first of these versions, by image, that is marked as revoked.

        An account that an artifact is shared with may see no marks.

        Args:
            images: Versions by image.
            found: Artifacts that this run has found already: no call is made for them.
        """
        held = {(one.image, one.version): one for one in found}
        asked = (held.get(one) or self._find(*one) for one in images.items())
        return next((one for one in asked if one and one.marks.get(REVOKED)), None)

    def refuse_revoked(self, what: str, images: Mapping[str, str]) -> None:
        """Refuse what would launch servers from an image, or give traffic to such servers.

        Args:
            what: What is refused, such as `Nothing is launched from image app 3f2a9c41d0e7`.
            images: The versions of the image and of its parents, by name.

        Raises:
            ImageError: One of them is revoked.
        """
        found = self.find_revoked(images)
        if found:
            raise ImageError(
                f"{what}: {describe_revoked(found)}",
                facts=["What serves goes on serving."],
                todo=f"Raise the counter `rebuild` of {found.image}: `./immutable update"
                f" {found.image} --rebuild` gives it another version, and the next `up` bakes and"
                " verifies that. A pinned service needs `./immutable resume` first.",
            )

    def bake(self, request: BakeRequest, packer: Packer) -> Artifact:
        """Bake one version and return its whole artifact, as the catalog has it afterwards.

        Raises:
            ImageError: The bake failed, or left no whole artifact, or one of another digest; or the
                name of the version is taken.
        """
        self.refuse_unproven(request.image, request.version)
        self._bake(request, packer)
        artifact = self.find(request.image, request.version, request.lineage["digest"])
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

    def find_hold(self, artifact: Artifact) -> str:
        """Return why an artifact must not be deleted though nobody uses it; empty when it may.

        The mark of a revoked one is kept with it: without it the version would be baked again.
        """
        if artifact.marks.get(REVOKED):
            return "is revoked, and its mark has to be remembered"
        if not self.find_digest(artifact):
            return "does not say what it was baked from"
        return self._find_stranger(artifact)

    def delete(self, artifact: Artifact) -> None:
        """Delete an artifact that nothing refers to; this is looked at again right before.

        Raises:
            ImageError: A server runs it, another image was baked from it, or `find_hold` says why.
        """
        hold = self.find_hold(artifact)
        children = [
            f"{child.id} was baked from it"
            for child in self.list()
            if child.parents.get(artifact.image) == artifact.version
        ]
        users = [*([f"It {hold}"] if hold else []), *children, *self.find_servers(artifact)]
        if users:
            raise make_in_use(artifact, users)
        self._delete(artifact)

    @abstractmethod
    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        """Return a sentence for each thing, of any stack, that runs the artifact or may launch it.

        Machines that bake on it or try it count too.
        """

    def _find_stranger(self, artifact: Artifact) -> str:
        """Return whose an artifact is that is not ours to delete; empty when it is."""
        del artifact
        return ""

    def measure(self, artifact: Artifact) -> int:
        """Return the bytes that an artifact takes; 0 where nobody can say."""
        del artifact
        return 0

    @abstractmethod
    def _delete(self, artifact: Artifact) -> None:
        """Delete an artifact with all that belongs to it; what is gone is no error."""


def make_in_use(artifact: Artifact, users: Sequence[str]) -> ImageError:
    """Return the error for an artifact that is to be deleted and that something refers to."""
    return ImageError(
        f"The artifact {artifact.id} cannot be deleted",
        facts=users,
        todo="Delete what is named first.",
    )


def describe_revoked(artifact: Artifact) -> str:
    """Return that an artifact is revoked, and why."""
    reason = artifact.marks.get(REVOKED)
    return f"image {artifact.image} {artifact.version} is revoked ({reason})"


def list_chain(artifact: Artifact) -> dict[str, str]:
    """Return the versions of an artifact and of its parents, by image."""
    return {artifact.image: artifact.version, **artifact.parents}


def _is_another(artifact: Artifact, *, wanted: str, found: str) -> ImageError:
    image, version = artifact.image, artifact.version
    return ImageError(
        f"The artifact of image {image} {version} is another than this run wants",
        facts=[
            f"Wanted: digest {wanted}",
            f"{artifact.id}: digest {found}",
            "Both have this version: its twelve digits are for people, the digest is what it is.",
        ],
        todo=f"No accident makes such a pair: see who baked {artifact.id}. {_make_way_out(image)}",
    )


def _make_way_out(image: str) -> str:
    return (
        f"Give the image another version: `./immutable update {image} --rebuild` raises the"
        " counter `rebuild` in its lock. Or delete the artifact, when nothing runs it."
    )
