"""Looks up what a base image starts from: Google's newest image of a Debian release."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.targets.cloud.debian import make_dead_lock, make_without_upstream
from immutable_servers.targets.gcp.api import MISSING, Api
from immutable_servers.targets.gcp.names import last_part

PROJECT = "debian-cloud"
"""https://docs.cloud.google.com/compute/docs/images/os-details#debian"""
SUFFIXES = {"x86_64": "", "arm64": "-arm64"}
WITHDRAWN = ("OBSOLETE", "DELETED")
"""States of an image that nothing new is made of; a deprecated one may be used.
https://docs.cloud.google.com/compute/docs/images/image-management-best-practices#lifecycle"""


def find_newest(api: Api, release: str, say: Say) -> dict[str, Any]:
    """Return a lock entry: the newest image of a Debian release for the architecture.

    Args:
        api: Google.
        release: Such as `13`.
        say: Takes progress.

    Raises:
        ImageError: There is no such image.
    """
    family = f"debian-{release}{SUFFIXES[api.settings.architecture]}"
    say(f"looks for Google's newest image of {family}")
    found = api.call("images", "getFromFamily", missing=MISSING, project=PROJECT, family=family)
    if not found:
        what = f"Google has no image of {family}"
        raise make_without_upstream(what, f"project {PROJECT}, family {family}")
    image = f"projects/{PROJECT}/global/images/{found['name']}"
    return {"image": image, "id": found["id"], "created": found["creationTimestamp"]}


def find_locked(api: Api, lock: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the image that a lock's entry names, as Google has it now.

    Raises:
        ImageError: It is gone, is another one of the name, or may not be used any more.
    """
    image, known = str(lock["image"]), str(lock["id"])
    which = {"project": image.split("/")[1], "image": last_part(image)}
    found = api.call("images", "get", missing=MISSING, **which)
    state = found.get("deprecated", {}).get("state", "") if found else "deleted"
    if found and found["id"] != known:
        state = "another image of that name"
    elif found and state not in WITHDRAWN:
        return found
    raise make_dead_lock(
        "The image that the lock names cannot be used any more",
        f"{image} (id {known}): {state.lower()}",
        "It gives the image another version.",
    )
