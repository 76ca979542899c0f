"""What the catalogs of cloud accounts share: finding, baking, sizes, and what their tags hold."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from immutable_servers.contract.images import REVOKED, Images, Packer
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError, SettingsError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.calls import CloudApi
from immutable_servers.targets.cloud.debian import find_release
from immutable_servers.targets.cloud.rivals import NamedImages, Rivals
from immutable_servers.targets.cloud.tags import Tagging

GIGABYTE = 1024**3
FACTS = ("commit", "clean", "baked_at")
"""What a description says beside digest, parents and marks."""
MARKS, MANIFEST = "mark-", "manifest-"
"""How tags begin that hold marks, and the inputs of the version, compressed."""


class CloudImages(Images, NamedImages):
    """Images of an account whose artifacts have their size among their facts, as `gigabytes`.

    Attributes:
        target: The target's name.
        api: What the cloud is asked through; its setting `volume` is a server's disk in the same
            unit, None is the image's size.
        made: Where a description has the time at which an image was made.
        template: What the cloud calls that from which its groups launch servers, if it has such.
    """

    target: ClassVar[str]
    api: CloudApi[Any]
    made: ClassVar[str]
    template: ClassVar[str] = ""

    def __init__(self, api: CloudApi[Any]) -> None:
        self.api = api.raising(ImageError)

    def _find(self, image: str, version: str) -> Artifact | None:
        """Return the whole image of this version, or None; an account has one of a name at most."""
        return next(iter(self._read_whole(self.find_named(image, version))), None)

    def list(self) -> Sequence[Artifact]:
        """Return every whole image of ours, oldest first."""
        return self._read_whole(self._find_all())

    @abstractmethod
    def _find_all(self) -> Sequence[Mapping[str, Any]]:
        """Return the images with names such as ours, whole or not."""

    def _read_whole(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Artifact]:
        whole = (one for one in found if self.is_whole(one))
        return [self._read(one) for one in sorted(whole, key=lambda one: str(one[self.made]))]

    @abstractmethod
    def _read(self, found: Mapping[str, Any]) -> Artifact:
        """Return a whole image as an artifact."""

    def find_upstream(
        self,
        image_settings: Mapping[str, Any],
        known: Mapping[str, Any],  # noqa: ARG002 - a cloud itself says which image is the newest
        say: Say,
    ) -> dict[str, Any]:
        """Ask the cloud for the newest image of a Debian suite.

        Raises:
            ImageError: There is no such image, or something else than Debian is wanted.
        """
        release = find_release(self.target, image_settings.get("upstream") or {})
        return self._find_newest(release, say)

    @abstractmethod
    def _find_newest(self, release: str, say: Say) -> dict[str, Any]:
        """Return a lock entry: the newest image of a release of Debian, such as `13`."""

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Bake on a machine of the cloud's, which Packer removes at the end.

        What a killed bake left of it is removed first. An image that another run makes, or has made
        meanwhile, is taken instead: what exists is never baked over.

        Raises:
            ImageError: The lock's image cannot be used, Packer failed, or the name is taken by
                something that no bake of ours made.
        """
        image, version = request.image, request.version
        is_dead = partial(bakes.is_dead, target=self.target, image=image, version=version)
        self._remove_bakes(image, is_dead, request.say)
        Rivals(request, self).bake(lambda: self._run(request, packer))

    @abstractmethod
    def _remove_bakes(self, image: str, is_dead: bakes.IsDead, say: Say) -> None:
        """Remove what bakes of an image have left beside images, where they are dead by our tags.

        The caller holds the lock of the version that it bakes.
        """

    @abstractmethod
    def _run(self, request: BakeRequest, packer: Packer) -> None:
        """Bake, into an image that is whole as the last step."""

    def find_servers(self, artifact: Artifact) -> Sequence[str]:
        """Look for servers, and for what launches some."""
        return [
            *(f"the server {name} runs it" for name in self._find_users(artifact)),
            *(f"the {self.template} {one} launches it" for one in self._find_templates(artifact)),
        ]

    @abstractmethod
    def _find_users(self, artifact: Artifact) -> Iterable[str]:
        """Return the names or ids of servers that run an image."""

    def _find_templates(self, artifact: Artifact) -> Iterable[str]:
        """Return the names of templates that launch an image.

        Not abstract: a cloud that launches servers by no template has none.
        """
        del artifact
        return ()

    def refuse_unfit(self, artifact: Artifact | None) -> None:
        """Refuse a disk that is smaller than an image, and a bake that could not do its work.

        Raises:
            ImmutableError: `volume` is too small, or a bake lacks something.
        """
        if artifact is None:
            self._check_bake()
            return
        least, volume = artifact.facts.get("gigabytes", 0), self.api.settings.volume
        if volume and volume < least:
            raise SettingsError(
                f"The root disk is smaller than the image {artifact.image} {artifact.version}",
                facts=[f"volume: {volume} GiB", f"{artifact.id}: {least} GiB"],
                todo=f"Set volume under immutable-servers:{self.target} to {least} or more, or"
                f" leave it out. `./immutable update {artifact.image} --rebuild` gives the image"
                " another version, which is baked on a disk of this size.",
            )

    @abstractmethod
    def _check_bake(self) -> None:
        """Refuse a bake for which this machine, or the network, lacks something."""

    def measure(self, artifact: Artifact) -> int:
        """Return the size of its disks, which is the most that it takes."""
        return int(artifact.facts.get("gigabytes", 0)) * GIGABYTE


def pack_manifest(tagging: Tagging, manifest: Mapping[str, Any], most: int) -> dict[str, str]:
    """Return the inputs of a version as tags; none when they are too many."""
    tags = tagging.pack(MANIFEST, manifest)
    return tags if len(tags) <= most else {}


def unpack_manifest(tagging: Tagging, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs of an image's version; none without, or damaged: they only explain."""
    try:
        return tagging.unpack(MANIFEST, tags)
    except ValueError:
        return {}


def unpack_marks(tagging: Tagging, tags: Mapping[str, str]) -> dict[str, str]:
    """Return an image's marks; one whose marks somebody has damaged is as good as revoked."""
    if not any(word.startswith(MARKS) for word in tagging.read(tags)):
        return {}
    try:
        return tagging.unpack(MARKS, tags)
    except ValueError:
        return {REVOKED: "its marks cannot be read"}


def change_marks(tagging: Tagging, tags: Mapping[str, str], key: str, value: str) -> dict[str, str]:
    """Return all tags of an image with one mark changed; an empty value removes it."""
    marks = {**unpack_marks(tagging, tags), key: value}
    kept = {one: marks[one] for one in marks if marks[one]}
    begin = f"{tagging.prefix}{MARKS}"
    others = {one: tags[one] for one in tags if not one.startswith(begin)}
    return {**others, **(tagging.pack(MARKS, kept) if kept else {})}


def render_description(lineage: Mapping[str, Any], **words: Any) -> str:  # noqa: ANN401 - plain values
    """Return an image's lineage as its description, after words of the cloud's own."""
    keys = ("digest", "parents", *FACTS)
    given = {key: lineage[key] for key in keys if lineage.get(key) is not None}
    return json.dumps({**words, **given}, separators=(",", ":"))


def make_artifact(
    image: str,
    version: str,
    identity: str,
    said: Mapping[str, Any],
    **facts: Any,  # noqa: ANN401 - plain values
) -> Artifact:
    """Return an artifact by what its description says, and by further facts."""
    facts = {**{key: said[key] for key in FACTS if key in said}, **facts}
    return Artifact(image, version, identity, said["parents"], facts, str(said.get("digest", "")))


def read_lineage(text: str | None) -> dict[str, Any]:
    """Return what an image's description says as JSON, with `parents` at least.

    They are empty for any other text: who reads it has to be told by the digest what it is worth.
    """
    found: Any = {}
    with suppress(ValueError):
        found = json.loads(text or "{}")
    said = found if isinstance(found, dict) else {}
    parents = said.get("parents")
    return {**said, "parents": parents if isinstance(parents, dict) else {}}
