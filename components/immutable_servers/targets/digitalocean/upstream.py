"""Looks up what a base image starts from: DigitalOcean's own image of a Debian release.

DigitalOcean replaces the image under a slug, and takes old ones away some time later.
"""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.targets.cloud.debian import make_dead_lock, make_without_upstream
from immutable_servers.targets.digitalocean.api import Api

AVAILABLE = "available"
"""The status of an image that droplets can be made from."""


def find_newest(api: Api, release: str, say: Say) -> dict[str, Any]:
    """Return a lock entry: the image that the slug of a Debian release names now.

    Args:
        api: DigitalOcean.
        release: Such as `13`.
        say: Takes progress.

    Raises:
        ImageError: There is no such image.
    """
    slug = f"debian-{release}-x64"
    say(f"looks for DigitalOcean's image {slug}")
    found = api.find("images", image_id=slug)
    if not found:
        what = f"DigitalOcean has no image {slug}"
        raise make_without_upstream(what, "`doctl compute image list-distribution` lists them")
    return {"image": str(found["id"]), "slug": slug, "created": found["created_at"]}


def find_locked(api: Api, lock: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the image that a lock's entry names, as DigitalOcean has it now.

    Raises:
        ImageError: It is gone, or may not be used any more.
    """
    found = api.find("images", image_id=lock["image"])
    state = found.get("status", AVAILABLE) if found else "deleted"
    if found and state == AVAILABLE:
        return found
    raise make_dead_lock(
        "The image that the lock names cannot be used any more",
        f"{lock['slug']} of {lock['created']} (id {lock['image']}): {state}",
        "It gives the image another version.",
    )
