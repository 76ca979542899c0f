"""The images at AWS: AMIs, found by their names, which hold image and version.

Tags carry lineage and marks, but an account that an AMI is shared with does not see them: it sees
name and description, so the description holds the parents.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from immutable_servers.contract.target import Catalog
from immutable_servers.contract.values import Artifact
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import IMAGES, PREFIX, list_tags, name_image, read_tags
from immutable_servers.targets.aws.record import pack, unpack

MARK = f"{PREFIX}mark-"
FACTS = f"{PREFIX}fact-"
IMAGE = f"{PREFIX}image"
"""Packer tags an AMI when it is available: one of ours without this tag was never finished."""
AT_ONCE = 16
MANIFEST = f"{PREFIX}manifest-"
"""Tags that hold the inputs of the version, compressed."""
MOST_MANIFEST = 30
"""An AMI takes 50 tags. So many hold the digests of some 150 files."""
ENDED = ("shutting-down", "terminated")
MOST_DESCRIPTION = 255


class AwsCatalog(Catalog):
    """AMIs of this account, and of those that the settings name; an artifact's id is the AMI's."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def find(self, image: str, version: str) -> Artifact | None:
        """Return the available AMI of this version, an own one first, or None."""
        found = self._read_all(_find_amis(self.api, name_image(image, version), self._owners))
        return found[-1] if found else None

    def list(self) -> Sequence[Artifact]:
        """Return every available AMI of ours, oldest first."""
        return self._read_all(_find_amis(self.api, f"{IMAGES}/*", self._owners))

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Read the AMI's tags; an account that it is shared with sees none."""
        amis = self.api.list(
            "ec2",
            "describe_images",
            "Images",
            kind=ImageError,
            missing=("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"),
            ImageIds=[artifact.id],
        )
        try:
            return unpack(MANIFEST, read_tags(amis[0].get("Tags"))) if amis else {}
        except ValueError:
            return {}  # it explains, and nothing is launched by it

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark as a tag; an empty value removes it."""
        name = f"{MARK}{key}"
        if value:
            tags = list_tags({name: value})
            self.api.call("ec2", "create_tags", kind=ImageError, Resources=[artifact.id], Tags=tags)
        else:
            tags = [{"Key": name}]
            self.api.call("ec2", "delete_tags", kind=ImageError, Resources=[artifact.id], Tags=tags)

    def delete(self, artifact: Artifact) -> None:
        """Deregister the AMI and its copies, and delete their snapshots, in every region.

        Raises:
            ImageError: A server runs it, or another image was baked from it.
        """
        name = name_image(artifact.image, artifact.version)
        copies = {
            api.region: (api, ami) for api, amis in self._ask_every_region(name) for ami in amis
        }
        users = [
            *(f"{child.id} was baked from it" for child in self._find_children(artifact)),
            *(user for api, ami in copies.values() for user in _find_users(api, ami)),
        ]
        if users:
            raise ImageError(
                f"The artifact {artifact.id} cannot be deleted",
                facts=users,
                todo="Delete what is named first.",
            )
        for api, ami in copies.values():
            delete_ami(api, ami)

    @property
    def _owners(self) -> Sequence[str]:
        return ["self", *self.api.settings.image_owners]

    def _read_all(self, amis: Sequence[Mapping[str, Any]]) -> Sequence[Artifact]:
        """Return those that are whole, own ones last, older ones first."""
        others = set(self.api.settings.image_owners)
        whole = [ami for ami in amis if ami["State"] == "available" and _is_whole(ami, others)]
        newest = sorted(whole, key=lambda ami: (ami["OwnerId"] not in others, ami["CreationDate"]))
        return [_read(ami) for ami in newest]

    def _find_children(self, artifact: Artifact) -> Sequence[Artifact]:
        return [
            child for child in self.list() if child.parents.get(artifact.image) == artifact.version
        ]

    def _ask_every_region(self, name: str) -> Sequence[tuple[Api, Sequence[Mapping[str, Any]]]]:
        apis = [self.api.elsewhere(region) for region in find_regions(self.api)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(
                zip(apis, pool.map(lambda api: _find_amis(api, name, ["self"]), apis), strict=True)
            )


def find_regions(api: Api) -> list[str]:
    """Return the regions that are enabled for the account."""
    found = api.list("ec2", "describe_regions", "Regions", kind=ImageError)
    return sorted(one["RegionName"] for one in found)


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
    facts = {
        f"{FACTS}{key}": json.dumps(value) for key, value in plain.items() if value is not None
    }
    return {
        "Name": f"{lineage['image']} {lineage['version']}",
        IMAGE: str(lineage["image"]),
        f"{PREFIX}version": str(lineage["version"]),
        **facts,
    }


def render_manifest(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs of a version as tags; none when they are too many."""
    tags = pack(MANIFEST, manifest)
    return tags if len(tags) <= MOST_MANIFEST else {}


def _find_amis(api: Api, name: str, owners: Sequence[str]) -> list[Mapping[str, Any]]:
    filters = [{"Name": "name", "Values": [name]}]
    return api.list(
        "ec2", "describe_images", "Images", kind=ImageError, Owners=list(owners), Filters=filters
    )


def _is_whole(ami: Mapping[str, Any], others: set[str]) -> bool:
    return ami["OwnerId"] in others or IMAGE in read_tags(ami.get("Tags"))


def _read(ami: Mapping[str, Any]) -> Artifact:
    _, image, version = ami["Name"].split("/")
    tags = read_tags(ami.get("Tags"))
    facts = {key[len(FACTS) :]: json.loads(tags[key]) for key in tags if key.startswith(FACTS)}
    marks = {key[len(MARK) :]: tags[key] for key in tags if key.startswith(MARK)}
    try:
        parents = dict(json.loads(ami.get("Description") or "{}").get("parents", {}))
    except ValueError:
        parents = {}  # written by hand; lineage explains, and nothing is launched by it
    return Artifact(
        image=image,
        version=version,
        id=ami["ImageId"],
        parents=parents,
        facts={**facts, "marks": marks, "owner": ami["OwnerId"]},
    )


def _find_users(api: Api, ami: Mapping[str, Any]) -> list[str]:
    reservations = api.list(
        "ec2",
        "describe_instances",
        "Reservations",
        kind=ImageError,
        Filters=[{"Name": "image-id", "Values": [ami["ImageId"]]}],
    )
    return [
        f"the server {one['InstanceId']} in {api.region} runs it"
        for reservation in reservations
        for one in reservation["Instances"]
        if one["State"]["Name"] not in ENDED
    ]


def delete_ami(api: Api, ami: Mapping[str, Any]) -> None:
    """Deregister an AMI and delete its snapshots; what is gone is no error."""
    api.call(
        "ec2",
        "deregister_image",
        kind=ImageError,
        missing=("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"),
        ImageId=ami["ImageId"],
    )
    for disk in ami.get("BlockDeviceMappings", []):
        if snapshot := disk.get("Ebs", {}).get("SnapshotId"):
            api.call(
                "ec2",
                "delete_snapshot",
                kind=ImageError,
                missing=("InvalidSnapshot.NotFound",),
                SnapshotId=snapshot,
            )
