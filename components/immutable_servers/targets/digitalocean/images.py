"""Finds, bakes and deletes images: snapshots by name, with lineage and marks in the description.

A snapshot gets its name with its description, as the last step of a bake: what has it is whole.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import SettingsError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.images import (
    CloudImages,
    make_artifact,
    read_lineage,
    render_description,
)
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.bake import (
    BEGUN,
    bake_image,
    find_bakes,
    remove_bakes,
    remove_thing,
)
from immutable_servers.targets.digitalocean.names import IMAGES, name_image
from immutable_servers.targets.digitalocean.upstream import find_newest

NAME = re.compile(rf"{IMAGES}/([^/]+)/([0-9a-f]{{12}})")


class DoImages(CloudImages):
    """Snapshots of the account; an artifact's id is the snapshot's.

    A description holds no inputs: nothing says how long it may be.
    """

    target = "digitalocean"
    api: Api
    key, made, tag = "name", "created_at", "name"
    taken = re.compile(BEGUN)
    half = "what a killed run left"
    stranger_todo = "See whose it is, and delete it in the account."

    def _find_all(self) -> Sequence[Mapping[str, Any]]:
        return [one for one in self.api.list("images") if NAME.fullmatch(one["name"])]

    def _find(self, image: str, version: str) -> Artifact | None:
        """Return the oldest of this version that the region has: names are not unique."""
        return next(iter(self._read_whole(self._find_here(image, version))), None)

    def _find_here(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        name, region = name_image(image, version), self.api.settings.region
        return [one for one in self._find_all() if one["name"] == name and region in one["regions"]]

    def find_named(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        """Return what the region has of a version, and all droplets and snapshots of its bakes."""
        made = (find_bakes(self.api, kind, image, version) for kind in ("images", "droplets"))
        return [*self._find_here(image, version), *chain(*made)]

    def is_whole(self, found: Mapping[str, Any]) -> bool:
        """Return whether it has its name."""
        return NAME.fullmatch(found["name"]) is not None

    def is_dead(self, found: Mapping[str, Any], request: BakeRequest) -> bool:
        """Read its name."""
        words = bakes.read_bake(found["name"])
        return bakes.is_dead(words, self.target, request.image, request.version)

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Look for a name of ours, which is all that is asked for."""
        return bool(bakes.read_bake(found["name"]))

    def remove(self, found: Mapping[str, Any]) -> None:
        """Delete a snapshot, or a droplet."""
        remove_thing(self.api, "images" if "min_disk_size" in found else "droplets", found)

    def _check_bake(self) -> None:
        """Refuse a size that the region does not have."""
        settings, size = self.api.settings, self.api.settings.bake_type
        there = [one["slug"] for one in self.api.list("sizes") if settings.region in one["regions"]]
        if size not in there:
            raise SettingsError(
                f"The size of a bake's droplet is not to be had in {settings.region}",
                facts=[f"size {size}"],
                todo="Set build_size under immutable-servers:digitalocean to one that is.",
            )

    def _read(self, found: Mapping[str, Any]) -> Artifact:
        image, version = NAME.fullmatch(found["name"]).groups()  # type: ignore[union-attr]
        said, gigabytes = read_lineage(found.get("description")), int(found["min_disk_size"])
        more = {"marks": said.get("marks") or {}, "gigabytes": gigabytes}
        return make_artifact(image, version, str(found["id"]), said, **more)

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark into the description; an empty value removes it."""
        self.api.asked.stop()
        found = self.api.find("images", image_id=artifact.id) or {}
        said = read_lineage(found.get("description"))
        marks = {**(said.get("marks") or {}), key: value}
        said["marks"] = {one: marks[one] for one in marks if marks[one]}
        body = {"description": json.dumps(said, separators=(",", ":"))}
        self.api.call("images.update", image_id=int(artifact.id), body=body)

    def _find_newest(self, release: str, say: Say) -> dict[str, Any]:
        return find_newest(self.api, release, say)

    def _remove_bakes(self, image: str, is_dead: bakes.IsDead, say: Say) -> None:
        self.api.asked.stop()
        remove_bakes(self.api, image, is_dead, say)

    def _run(self, request: BakeRequest, packer: Packer) -> None:
        bake_image(request, packer, self.api, render_description(request.lineage))

    def _find_users(self, artifact: Artifact) -> Iterator[str]:
        """Yield the names of droplets made from an image; bakes and probes are among them."""
        for one in self.api.list("droplets"):
            if str((one.get("image") or {}).get("id")) == artifact.id:
                yield one["name"]

    def _delete(self, artifact: Artifact) -> None:
        """Delete the snapshot in all regions."""
        self.api.delete("images", image_id=int(artifact.id))
