"""Finds, bakes and deletes images: AMIs whose names hold image and version.

Tags carry lineage and marks, but an account that an AMI is shared with does not see them: it sees
name and description, so the description holds the parents.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.images import Images, Packer
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.api import ALIVE, Api
from immutable_servers.targets.aws.bake import remove_dead_bakes, render_variables, start_login
from immutable_servers.targets.aws.names import (
    IMAGES,
    PREFIX,
    TAGS,
    list_tags,
    name_image,
    read_tags,
    where,
)
from immutable_servers.targets.aws.upstream import find_locked, find_upstream

MARK, FACT, MANIFEST = "mark-", "fact-", "manifest-"
"""How tags begin that hold marks, facts, and the inputs of the version, compressed."""
IMAGE = f"{PREFIX}image"
"""Packer tags an AMI when it is available: one of ours without this tag was never finished."""
MOST_MANIFEST = 30
"""An AMI takes 50 tags; these hold the digests of some 150 files."""
GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
MOST_DESCRIPTION = 255


class AwsImages(Images):
    """AMIs of this account, and of those that the settings name; an artifact's id is the AMI's."""

    def __init__(self, api: Api) -> None:
        self.api = api.raising(ImageError)

    def find(self, image: str, version: str) -> Artifact | None:
        """Return the available AMI of this version, an own one first, or None."""
        found = self._find(name_image(image, version))
        return found[-1] if found else None

    def list(self) -> Sequence[Artifact]:
        """Return every available AMI of ours, oldest first."""
        return self._find(f"{IMAGES}/*")

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Read the AMI's tags; an account that it is shared with sees none."""
        amis = self.api.list("ec2", "describe_images", missing=GONE, ImageIds=[artifact.id])
        try:
            return TAGS.unpack(MANIFEST, read_tags(amis[0].get("Tags"))) if amis else {}
        except ValueError:
            return {}  # it explains, and nothing is launched by it

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark as a tag; an empty value removes it."""
        name, ids = f"{PREFIX}{MARK}{key}", [artifact.id]
        if value:
            self.api.call("ec2", "create_tags", Resources=ids, Tags=list_tags({name: value}))
        else:
            self.api.call("ec2", "delete_tags", Resources=ids, Tags=[{"Key": name}])

    def find_upstream(self, image_settings: Mapping[str, Any], say: Say) -> dict[str, Any]:
        """Ask for the newest Debian AMI, in every region that is enabled."""
        return find_upstream(self.api, image_settings.get("upstream") or {}, say)

    def _bake(self, request: BakeRequest, packer: Packer) -> None:
        """Bake on an instance of EC2, into an AMI that is tagged when it is whole.

        Packer removes instance, key and security group at the end; what a killed bake left of them
        is removed first.

        Raises:
            ImageError: The lock has no AMI for the region, or Packer failed.
        """
        remove_dead_bakes(self.api, request.image, request.version, request.say)
        parent = request.parent
        start = parent.id if parent else find_locked(request.lock, self.api.region)
        tags = {**render_facts(request.lineage), **render_manifest(request.manifest)}
        about = {
            "source_ami": start,
            "ami_name": name_image(request.image, request.version),
            "ami_description": render_description(request.lineage["parents"]),
            "tags": json.dumps(tags),
        }
        with start_login(request) as login:
            packer.build({**about, **render_variables(request, self.api.settings), **login})

    def _find_users(self, artifact: Artifact) -> Sequence[str]:
        return [
            f"the server {instance['InstanceId']} in {api.region} runs it"
            for api, ami in self._find_copies(artifact)
            for instance in api.find_instances(where("image-id", ami["ImageId"]), ALIVE)
        ]

    def _delete(self, artifact: Artifact) -> None:
        """Deregister the AMI and its copies, and delete their snapshots, in every region."""
        for api, ami in self._find_copies(artifact):
            delete_ami(api, ami)

    def _find_copies(self, artifact: Artifact) -> Sequence[tuple[Api, Mapping[str, Any]]]:
        named = where("name", name_image(artifact.image, artifact.version))
        found = self.api.ask_everywhere(lambda api: api.find_amis(named))
        return [(api, ami) for api, amis in found for ami in amis]

    def _find(self, name: str) -> Sequence[Artifact]:
        owners = ["self", *self.api.settings.image_owners]
        return self._read_all(self.api.find_amis(where("name", name), owners=owners))

    def _read_all(self, amis: Sequence[Mapping[str, Any]]) -> Sequence[Artifact]:
        """Return those that are whole, own ones last, older ones first."""
        others = set(self.api.settings.image_owners)
        whole = [
            ami
            for ami in amis
            if ami["State"] == "available"
            and (ami["OwnerId"] in others or IMAGE in read_tags(ami.get("Tags")))
        ]
        newest = sorted(whole, key=lambda ami: (ami["OwnerId"] not in others, ami["CreationDate"]))
        return [_read(ami) for ami in newest]


def render_description(parents: Mapping[str, str]) -> str:
    """Return what an AMI's description holds, for accounts that see no tags.

    Raises:
        ImageError: It is too long.
    """
    text = json.dumps({"parents": dict(parents)}, separators=(",", ":"))
    if len(text) > MOST_DESCRIPTION:
        raise ImageError(
            "The image has too many parents for an AMI's description",
            facts=[f"{len(text)} characters, at most {MOST_DESCRIPTION}"],
            todo="Make the chain of images shorter.",
        )
    return text


def render_facts(lineage: Mapping[str, Any]) -> dict[str, str]:
    """Return an image's lineage as tags."""
    plain = {key: lineage.get(key) for key in ("commit", "clean", "baked_at")}
    facts = {f"{FACT}{key}": json.dumps(value) for key, value in plain.items() if value is not None}
    image, version = str(lineage["image"]), str(lineage["version"])
    words = {"image": image, "version": version, **facts}
    return {"Name": f"{image} {version}", **TAGS.write(words)}


def render_manifest(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs of a version as tags; none when they are too many."""
    tags = TAGS.pack(MANIFEST, manifest)
    return tags if len(tags) <= MOST_MANIFEST else {}


def delete_ami(api: Api, ami: Mapping[str, Any]) -> None:
    """Deregister an AMI and delete its snapshots; what is gone is no error."""
    api.call("ec2", "deregister_image", missing=GONE, ImageId=ami["ImageId"])
    for disk in ami.get("BlockDeviceMappings", []):
        if snapshot := disk.get("Ebs", {}).get("SnapshotId"):
            delete_snapshot(api, snapshot)


def delete_snapshot(api: Api, snapshot: str) -> None:
    """Delete a snapshot; a missing one is no error."""
    missing = ("InvalidSnapshot.NotFound",)
    api.call("ec2", "delete_snapshot", missing=missing, SnapshotId=snapshot)


def _read(ami: Mapping[str, Any]) -> Artifact:
    _, image, version = ami["Name"].split("/")
    words = TAGS.read(read_tags(ami.get("Tags")))
    facts = {key[len(FACT) :]: json.loads(words[key]) for key in words if key.startswith(FACT)}
    marks = {key[len(MARK) :]: words[key] for key in words if key.startswith(MARK)}
    try:
        parents = dict(json.loads(ami.get("Description") or "{}").get("parents", {}))
    except ValueError:
        parents = {}  # written by hand; lineage explains, and nothing is launched by it
    facts |= {"marks": marks, "owner": ami["OwnerId"]}
    return Artifact(image, version, ami["ImageId"], parents, facts)
