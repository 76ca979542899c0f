"""Finds, bakes and deletes images: their names hold image and version, descriptions the lineage."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.targets.cloud.bakes import IsDead
from immutable_servers.targets.cloud.images import (
    CloudImages,
    change_marks,
    make_artifact,
    read_lineage,
    unpack_manifest,
    unpack_marks,
)
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.bake import bake_image, find_bake_zones, remove_bakes
from immutable_servers.targets.gcp.names import LABELS, last_part, name_image
from immutable_servers.targets.gcp.network import refuse_cut_off
from immutable_servers.targets.gcp.upstream import find_newest
from immutable_servers.targets.gcp.verifier import check_login

NAME = re.compile(r"im-(.+)-([0-9a-f]{12})")


class GcpImages(CloudImages):
    """Images of the project; an artifact's id is what Google and its provider take as it is.

    Google makes an image with its labels, in one step: one is whole when it is READY. Its
    description has room for some forty parents.
    """

    target = "gcp"
    api: Api
    key, made, tag, template = "name", "creationTimestamp", "label", "instance template"
    taken = re.compile(r"already ?exists", re.IGNORECASE)
    """The plugin's word before a bake, and Google's as the image is made:
    builder/googlecompute/step_check_existing_image.go and lib/common/driver_gce.go of v1.2.7."""
    half = "what a bake did not finish"
    stranger_todo = "See whose it is, and delete it in the Google Cloud project."

    def find_named(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        """Return the image of a version's name: a project has one at most."""
        found = self.api.find("images", named=name_image(image, version))
        return [found] if found else []

    def _find_all(self) -> Sequence[Mapping[str, Any]]:
        found = self.api.list("images", filter='name eq "im-.*"')
        return [one for one in found if NAME.fullmatch(one["name"])]

    def is_whole(self, found: Mapping[str, Any]) -> bool:
        """Return whether Google has made it."""
        return bool(found["status"] == "READY")

    def is_dead(self, found: Mapping[str, Any], request: BakeRequest) -> bool:
        """Return whether Google could not make it."""
        del request
        return bool(found["status"] != "PENDING")

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Look for our labels."""
        return bool(LABELS.read(found.get("labels", {})))

    def remove(self, found: Mapping[str, Any]) -> None:
        """Delete it."""
        self.api.delete("images", found["name"])

    def _check_bake(self) -> None:
        """Refuse one without a zone, without the tool to log in, or cut off from the internet."""
        check_login(self.api.settings.build_reach)
        find_bake_zones(self.api)
        refuse_cut_off(self.api, bakes=True)

    def _read(self, found: Mapping[str, Any]) -> Artifact:
        image, version = NAME.fullmatch(found["name"]).groups()  # type: ignore[union-attr]
        said, labels = read_lineage(found.get("description")), found.get("labels", {})
        facts = {
            "marks": unpack_marks(LABELS, labels),
            "manifest": unpack_manifest(LABELS, labels),
            "gigabytes": int(found["diskSizeGb"]),
        }
        place = f"projects/{self.api.settings.project}/global/images/{found['name']}"
        return make_artifact(image, version, place, said, **facts)

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark among the labels; an empty value removes it. Others' labels stay."""

        def render(found: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"labels": change_marks(LABELS, found.get("labels", {}), key, value)}

        self.api.change("images", last_part(artifact.id), render, method="setLabels")

    def _find_newest(self, release: str, say: Say) -> dict[str, Any]:
        return find_newest(self.api, release, say)

    def _remove_bakes(self, image: str, is_dead: IsDead, say: Say) -> None:
        remove_bakes(self.api, image, is_dead, say)

    def _run(self, request: BakeRequest, packer: Packer) -> None:
        bake_image(request, packer, self.api)

    def _find_users(self, artifact: Artifact) -> Iterator[str]:
        """Yield the names of instances with disks of an image."""
        same = f'sourceImage eq ".*/images/{last_part(artifact.id)}"'
        for disk in self.api.list("disks", "aggregatedList", filter=same):
            yield from (last_part(user) for user in disk.get("users", ()))

    def _find_templates(self, artifact: Artifact) -> Iterator[str]:
        """Yield the names of the instance templates that launch an image."""
        for one in self.api.list("instanceTemplates"):
            disks = one["properties"].get("disks", ())
            images = [disk.get("initializeParams", {}).get("sourceImage", "") for disk in disks]
            if any(image.endswith(artifact.id) for image in images):
                yield one["name"]

    def _delete(self, artifact: Artifact) -> None:
        """Delete the image."""
        self.api.delete("images", last_part(artifact.id))
