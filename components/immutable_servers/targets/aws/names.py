"""Names and tags what the target has at AWS.

A load balancer and a target group take 32 letters, digits and hyphens, so a name is shortened and
carries a digest over the whole scope.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Scope
from immutable_servers.targets.cloud.tags import Records, Tagging, clean, digest_scope

PREFIX = "immutable-servers:"
TAGS = Tagging(PREFIX, longest=256)
RECORDS = Records(TAGS, most=40)
"""An Auto Scaling group takes 50 tags.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html"""
IMAGES = "immutable-servers"
"""AMI names are `immutable-servers/<image>/<version>`: names are seen by an account that an AMI is
shared with, its tags are not (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html)."""
HEADER = "X-Immutable-Generation"
"""Requests with this header reach a generation that has no traffic yet."""


def make_name(scope: Scope) -> str:
    """Return the name of a generation's resources, or without a generation the balancer's."""
    if scope.generation:
        service = re.sub(r"^sg(?=-|$)", "s-g", scope.service)[:14].rstrip("-")
        return f"{service}-{scope.generation}-{digest_scope(scope)}"
    return f"lb-{clean(scope.project, 9)}-{clean(scope.stack, 10)}-{digest_scope(scope)}"


def find_generation(scope: Scope, name: str) -> str:
    """Return the generation whose resources have this name, empty when none of the service's."""
    *_, generation, _ = ("", "", *name.split("-"))
    return generation if make_name(replace(scope, generation=generation)) == name else ""


def name_server(scope: Scope, instance: str) -> str:
    """Return a server's name, as its launch data says it too."""
    return f"{scope.service}-{scope.generation}-{instance}"


def name_image(image: str, version: str) -> str:
    """Return an AMI's name."""
    return f"{IMAGES}/{image}/{version}"


def make_tags(scope: Scope) -> dict[str, str]:
    """Return the tags that say whose a resource is."""
    return {"Name": scope.name, **TAGS.write_scope(scope)}


def make_filters(scope: Scope) -> list[dict[str, Any]]:
    """Return the filters that find what `make_tags` marked."""
    return [where(f"tag:{key}", value) for key, value in TAGS.write_scope(scope).items()]


def where(key: str, *values: str) -> dict[str, Any]:
    """Return a filter as EC2 and Auto Scaling take it."""
    return {"Name": key, "Values": [*values]}


def list_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS's interfaces take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specify_tags(tags: Mapping[str, str], *kinds: str) -> list[dict[str, Any]]:
    """Return the tags of kinds of resources that EC2 makes, such as `volume`."""
    return [{"ResourceType": kind, "Tags": list_tags(tags)} for kind in kinds]


def read_tags(listed: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed or ()}


def read_words(thing: Mapping[str, Any]) -> dict[str, str]:
    """Return our own tags of a thing that AWS describes, without their prefix."""
    return TAGS.read(read_tags(thing.get("Tags")))
