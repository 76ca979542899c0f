"""Names and tags at AWS: never random, and never shared by two stacks.

A load balancer and a target group take 32 letters, digits and hyphens, so a name is shortened and
carries a digest over the whole scope. Tags carry the scope itself.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from immutable_servers.contract.values import Scope

PREFIX = "immutable-servers:"
IMAGES = "immutable-servers"
"""AMI names are `immutable-servers/<image>/<version>`: names are seen by an account that an AMI is
shared with, its tags are not (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html)."""
HEADER = "X-Immutable-Generation"
"""Requests with this header reach a generation that has no traffic yet."""


def make_name(scope: Scope) -> str:
    """Return the name of a generation's resources, or without a generation the balancer's."""
    whole = json.dumps([scope.project, scope.stack, scope.service, scope.generation])
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    if scope.generation:
        service = re.sub(r"^sg(?=-|$)", "s-g", scope.service)[:14].rstrip("-")
        return f"{service}-{scope.generation}-{digest}"
    return f"lb-{_clean(scope.project, 9)}-{_clean(scope.stack, 10)}-{digest}"


def find_generation(scope: Scope, name: str) -> str:
    """Return the generation whose resources have this name, empty when none of the service's."""
    *_, generation, _ = ("", "", *name.split("-"))
    return generation if make_name(replace(scope, generation=generation)) == name else ""


def name_server(scope: Scope, instance: str) -> str:
    """Return a server's name, as its launch data says it too."""
    return f"{scope.service}-{scope.generation}-{instance}"


def make_tags(scope: Scope) -> dict[str, str]:
    """Return the tags that say whose a resource is."""
    known = {
        "project": scope.project,
        "stack": scope.stack,
        "service": scope.service,
        "generation": scope.generation,
    }
    return {
        "Name": scope.name,
        **{f"{PREFIX}{key}": value for key, value in known.items() if value},
    }


def make_filters(scope: Scope) -> list[dict[str, Any]]:
    """Return the filters, as EC2 and Auto Scaling take them, that find what `make_tags` marked."""
    tags = {key: value for key, value in make_tags(scope).items() if key != "Name"}
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def list_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as AWS's interfaces take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def read_tags(listed: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in listed or ()}


def name_image(image: str, version: str) -> str:
    """Return an AMI's name."""
    return f"{IMAGES}/{image}/{version}"


def _clean(text: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text)[:most].strip("-") or "x"
