"""Finds, bakes and deletes images: AMIs whose names hold image and version, and tags the rest."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import Artifact, BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.amis import GONE, IMAGE, delete_ami
from immutable_servers.targets.aws.api import ALIVE, NO_TEMPLATE, Api
from immutable_servers.targets.aws.bake import render_login, render_variables
from immutable_servers.targets.aws.names import (
    IMAGES,
    PREFIX,
    TAGS,
    list_tags,
    name_image,
    read_tags,
    read_words,
    where,
)
from immutable_servers.targets.aws.packer_credentials import start_credentials
from immutable_servers.targets.aws.upstream import find_locked, find_newest
from immutable_servers.targets.aws.verifier import check_login
from immutable_servers.targets.cloud import bakes, ends
from immutable_servers.targets.cloud.images import (
    CloudImages,
    pack_manifest,
    read_lineage,
    unpack_manifest,
)

NAME_TAKEN = re.compile(r"InvalidAMIName\.Duplicate|is used by an existing AMI")
"""EC2's word as an AMI is made, and the plugin's after its own look as a bake begins:
builder/common/step_pre_validate.go and builder/ebs/step_create_ami.go of v1.3.2."""
MARK, FACT = "mark-", "fact-"
"""How tags begin that hold marks and facts."""
DIGEST, PARENTS = "digest", "parents"
"""Tags with the image's digest, and with its parents' versions; an early program's are in the
description."""
MOST_MANIFEST = 30
"""An AMI takes 50 tags; these hold the digests of some 150 files."""
MOST_PARENTS = 256
"""Characters of a tag: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html"""


class AwsImages(CloudImages):
    """AMIs of this account and region; an artifact's id is the AMI's."""

    target = "aws"
    api: Api
    key, made, tag, template = "ImageId", "CreationDate", "tag", "launch template"
    taken = NAME_TAKEN
    half = "what a killed run left"
    stranger_todo = "See whose it is; `./immutable sweep` lists it, and removes it by its id."

    def find_named(self, image: str, version: str) -> Sequence[Mapping[str, Any]]:
        """Return the AMI of a version's name: an account has one in a region at most."""
        return self.api.find_amis(where("name", name_image(image, version)))

    def _find_all(self) -> Sequence[Mapping[str, Any]]:
        return self.api.find_amis(where("name", f"{IMAGES}/*"))

    def is_whole(self, found: Mapping[str, Any]) -> bool:
        """Return whether it is available, and tagged as the last step of a bake."""
        return found["State"] == "available" and IMAGE in read_tags(found.get("Tags"))

    def is_dead(self, found: Mapping[str, Any], request: BakeRequest) -> bool:
        """Read its tags."""
        return bakes.is_dead(read_words(found), self.target, request.image, request.version)

    def is_ours(self, found: Mapping[str, Any]) -> bool:
        """Look for the end of a bake among its tags."""
        return ends.BAKE in read_words(found)

    def remove(self, found: Mapping[str, Any]) -> None:
        """Deregister it, and delete its snapshots."""
        delete_ami(self.api, found)

    def _read(self, found: Mapping[str, Any]) -> Artifact:
        _, image, version = found["Name"].split("/")
        words = TAGS.read(read_tags(found.get("Tags")))
        facts = {key[len(FACT) :]: json.loads(words[key]) for key in words if key.startswith(FACT)}
        marks = {key[len(MARK) :]: words[key] for key in words if key.startswith(MARK)}
        disks = [disk.get("Ebs", {}).get("VolumeSize", 0) for disk in found["BlockDeviceMappings"]]
        described = read_lineage(found.get("Description"))  # an early program's
        parents = json.loads(words[PARENTS]) if PARENTS in words else described["parents"]
        digest = _join(words.get(DIGEST, ""), str(described.get("digest") or ""))
        more = {"marks": marks, "gigabytes": sum(disks)}
        return Artifact(image, version, found["ImageId"], parents, {**facts, **more}, digest)

    def _check_bake(self) -> None:
        """Refuse one whose login lacks a tool."""
        check_login(self.api.settings.build_through)

    def find_manifest(self, artifact: Artifact) -> Mapping[str, Any]:
        """Read the AMI's tags."""
        amis = self.api.list("ec2", "describe_images", missing=GONE, ImageIds=[artifact.id])
        return unpack_manifest(TAGS, read_tags(amis[0].get("Tags"))) if amis else {}

    def mark(self, artifact: Artifact, key: str, value: str) -> None:
        """Write a mark as a tag; an empty value removes it."""
        name, ids = f"{PREFIX}{MARK}{key}", [artifact.id]
        if value:
            self.api.call("ec2", "create_tags", Resources=ids, Tags=list_tags({name: value}))
        else:
            self.api.call("ec2", "delete_tags", Resources=ids, Tags=[{"Key": name}])

    def _find_newest(self, release: str, say: Say) -> dict[str, Any]:
        return find_newest(self.api, release, say)

    def _remove_bakes(self, image: str, is_dead: bakes.IsDead, say: Say) -> None:
        self.api.remove_dead(is_dead, say, where(f"tag:{PREFIX}{bakes.BAKE}", image))

    def _run(self, request: BakeRequest, packer: Packer) -> None:
        parent = request.parent
        start = parent.id if parent else find_locked(request.lock, self.api.region)
        tags = {
            **render_facts(request.lineage),
            **pack_manifest(TAGS, request.manifest, MOST_MANIFEST),
        }
        about = {
            "source_ami": start,
            "ami_name": name_image(request.image, request.version),
            "tags": json.dumps(tags),
        }
        login_by = partial(render_login, request.lock)
        with (
            bakes.start_login(request, login_by) as login,
            start_credentials(self.api) as environment,
        ):
            variables = {**about, **render_variables(request, self.api), **login}
            packer.build(variables, environment=environment)

    def _find_users(self, artifact: Artifact) -> Iterator[str]:
        for one in self.api.find_instances(where("image-id", artifact.id), ALIVE):
            yield one["InstanceId"]

    def _find_templates(self, artifact: Artifact) -> Iterator[str]:
        """Yield the names of the launch templates with a version that launches an AMI."""
        for template in self.api.list("ec2", "describe_launch_templates"):
            versions = self.api.list(
                "ec2",
                "describe_launch_template_versions",
                missing=NO_TEMPLATE,
                LaunchTemplateId=template["LaunchTemplateId"],
            )
            if any(one["LaunchTemplateData"].get("ImageId") == artifact.id for one in versions):
                yield template["LaunchTemplateName"]

    def _delete(self, artifact: Artifact) -> None:
        """Deregister the AMI, and delete its snapshots."""
        for ami in self.api.find_amis(where("image-id", artifact.id)):
            delete_ami(self.api, ami)


def render_facts(lineage: Mapping[str, Any]) -> dict[str, str]:
    """Return an image's lineage as tags.

    Raises:
        ImageError: It has too many parents.
    """
    parents = json.dumps(dict(lineage.get("parents") or {}), separators=(",", ":"))
    if len(parents) > MOST_PARENTS:
        raise ImageError(
            "The image has too many parents for an AMI's tag",
            facts=[f"{len(parents)} characters, at most {MOST_PARENTS}"],
            todo="Make the chain of images shorter.",
        )
    plain = {key: lineage.get(key) for key in ("commit", "clean", "baked_at")}
    facts = {f"{FACT}{key}": json.dumps(value) for key, value in plain.items() if value is not None}
    image, version = str(lineage["image"]), str(lineage["version"])
    digest = str(lineage.get("digest", ""))
    words = {"image": image, "version": version, DIGEST: digest, PARENTS: parents, **facts}
    return {"Name": f"{image} {version}", **TAGS.write(words)}


def _join(tagged: str, described: str) -> str:
    """Return the digest of an AMI; where tags and description differ, what is no digest at all."""
    if tagged and described and tagged != described:
        return f"{tagged} in its tags, {described} in its description"
    return tagged or described
