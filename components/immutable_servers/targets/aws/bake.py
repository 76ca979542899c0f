"""Bakes one image version on an EC2 instance, into an AMI that is tagged when it is whole."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from immutable_servers.contract.target import Packer
from immutable_servers.contract.values import Artifact, BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.system import places
from immutable_servers.system.keys import make_key_pair
from immutable_servers.targets.aws import dead_bakes
from immutable_servers.targets.aws.access import ADDRESS_URL, find_own_address
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.artifacts import (
    AwsCatalog,
    render_description,
    render_facts,
    render_manifest,
)
from immutable_servers.targets.aws.names import PREFIX, name_image
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.upstream import find_locked

USUAL_SIZE = "medium"


def bake_image(request: BakeRequest, packer: Packer, api: Api) -> Artifact:
    """Bake a version and return its artifact.

    Packer removes instance, key and security group at the end; what a killed bake left of them is
    removed first.

    Raises:
        ImageError: The lock has no AMI for the region, or Packer failed.
    """
    dead_bakes.remove_bakes(api, request.image, request.version, request.say)
    start = request.parent.id if request.parent else find_locked(request.lock, api.region)
    with _start_login(request) as login:
        packer.build({**_render_variables(request, api.settings, start), **login})
    artifact = AwsCatalog(api).find(request.image, request.version)
    if artifact is None:
        raise ImageError(
            f"The bake of image {request.image} left no whole artifact",
            facts=[f"no AMI named {name_image(request.image, request.version)} is available"],
            todo="Run the same command again; somebody may have deregistered it meanwhile.",
        )
    return artifact


def _render_variables(request: BakeRequest, settings: AwsSettings, start: str) -> dict[str, str]:
    """Return the variables that `aws.pkr.hcl` declares."""
    tags = {**render_facts(request.lineage), **render_manifest(request.manifest)}
    bake = {
        "Name": f"bake {request.image} {request.version}",
        dead_bakes.BAKE: request.image,
        dead_bakes.BAKE_ENDS: str(int(time.time() + request.deadline)),
        dead_bakes.BAKE_HOST: dead_bakes.name_machine(),
        f"{PREFIX}version": request.version,
    }
    return {
        "region": settings.region,
        "profile": settings.profile,
        "endpoint": find_endpoint(),
        "source_ami": start,
        "ami_name": name_image(request.image, request.version),
        "ami_description": render_description(request.lineage["parents"]),
        "instance_type": settings.find_instance_type(settings.build_size or USUAL_SIZE),
        "subnet": settings.build_subnet,
        "instance_profile": settings.build_instance_profile,
        "ssh_interface": "session_manager" if settings.build_through == "ssm" else "",
        "let_in": json.dumps(find_builders(settings)),
        "kms_key": settings.kms_key,
        "volume_size": str(settings.volume or 0),
        "copy_to": json.dumps(list(settings.copy_to)),
        "share_with": json.dumps(list(settings.share_with)),
        "tags": json.dumps(tags),
        "bake_tags": json.dumps(bake),
        "lineage": json.dumps(request.lineage, sort_keys=True),
    }


def find_builders(settings: AwsSettings) -> list[str]:
    """Return the addresses that may log in to a bake; through Session Manager none has to."""
    if settings.build_through == "ssm":
        return []
    return list(settings.verify_from) or [find_own_address(ADDRESS_URL)]


def find_endpoint() -> str:
    """Return the SDK's own setting of EC2's endpoint, which Packer's plugin does not read."""
    return os.environ.get("AWS_ENDPOINT_URL_EC2") or os.environ.get("AWS_ENDPOINT_URL") or ""


@contextmanager
def _start_login(request: BakeRequest) -> Iterator[Mapping[str, str]]:
    """Yield the variables of the bake's login.

    An upstream AMI takes Packer's own temporary key for its user `admin`, and gets the SSM agent
    that the lock names, if it names one. A parent is sealed, so it
    is handed launch data with an open window and a key that lives as long as the bake.
    """
    if request.parent is None:
        agent = request.lock.get("ssm_agent") or {}
        yield {"agent_url": agent.get("url", ""), "agent_sha256": agent.get("sha256", "")}
        return
    folder = places.runtime_dir(request.template)
    key = folder / "key"
    try:
        public = make_key_pair(key, "bake")
        yield {"login": str(key), "user_data": _render_launch(request, public)}
    finally:
        shutil.rmtree(folder)


def _render_launch(request: BakeRequest, public: str) -> str:
    launch: dict[str, Any] = {
        "service": "bake",
        "generation": request.version,
        "login_key": public,
        "window_ends": int(time.time() + request.deadline),
    }
    return json.dumps(launch, sort_keys=True)
