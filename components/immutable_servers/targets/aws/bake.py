"""Prepares a bake on an EC2 instance, and removes what killed bakes have left."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from immutable_servers.contract.values import BakeRequest, Say
from immutable_servers.targets.aws.access import find_verifier
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import PREFIX, TAGS, where
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.cloud import bakes

USUAL_SIZE = "medium"


def render_variables(request: BakeRequest, settings: AwsSettings) -> dict[str, str]:
    """Return the variables of `source.pkr.hcl` that do not depend on the artifact."""
    bake = {
        "Name": f"bake {request.image} {request.version}",
        **TAGS.write(bakes.describe_bake(request)),
    }
    return {
        "region": settings.region,
        "profile": settings.profile,
        "endpoint": _find_endpoint(),
        "instance_type": settings.find_instance_type(settings.build_size or USUAL_SIZE),
        "subnet": settings.build_subnet,
        "instance_profile": settings.build_instance_profile,
        "ssh_interface": "session_manager" if settings.build_through == "ssm" else "",
        "let_in": json.dumps(_find_builders(settings)),
        "kms_key": settings.kms_key,
        "volume_size": str(settings.volume or 0),
        "copy_to": json.dumps(list(settings.copy_to)),
        "share_with": json.dumps(list(settings.share_with)),
        "bake_tags": json.dumps(bake),
        "lineage": json.dumps(request.lineage, sort_keys=True),
    }


@contextmanager
def start_login(request: BakeRequest) -> Iterator[Mapping[str, str]]:
    """Yield the variables of the bake's login.

    An upstream AMI takes Packer's own temporary key for its user `admin`, and gets the SSM agent
    that the lock names, if it names one. A parent is sealed, so it is handed launch data.
    """
    if request.parent is None:
        agent = request.lock.get("ssm_agent") or {}
        yield {"agent_url": agent.get("url", ""), "agent_sha256": agent.get("sha256", "")}
        return
    with bakes.start_login(request) as (key, launch):
        yield {"login": str(key), "user_data": launch}


def remove_dead_bakes(api: Api, image: str, version: str, say: Say) -> None:
    """Remove what dead bakes of an image left; the caller holds the lock of `version`."""
    is_dead = partial(bakes.is_dead, target="aws", image=image, version=version)
    api.remove_dead(is_dead, say, where(f"tag:{PREFIX}{bakes.BAKE}", image))


def _find_builders(settings: AwsSettings) -> list[str]:
    """Return the addresses that may log in to a bake; through Session Manager none has to."""
    if settings.build_through == "ssm":
        return []
    return list(settings.verify_from) or [find_verifier()]


def _find_endpoint() -> str:
    """Return the SDK's own setting of EC2's endpoint, which Packer's plugin does not read."""
    return os.environ.get("AWS_ENDPOINT_URL_EC2") or os.environ.get("AWS_ENDPOINT_URL") or ""
