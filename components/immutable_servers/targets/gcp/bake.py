"""Bakes on an instance of Compute Engine, and removes what killed bakes have left.

Packer's plugin labels the instance alone. So the instance, its disk and the rule that lets Packer
in have one name, which says whose they are and when they had to be gone.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import BakeRequest, Say
from immutable_servers.errors import ImageError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.cloud.images import pack_manifest, render_description
from immutable_servers.targets.gcp.api import Api
from immutable_servers.targets.gcp.faults import GoogleError, explain
from immutable_servers.targets.gcp.names import LABELS, MARK, last_part, name_image
from immutable_servers.targets.gcp.network import find_zones
from immutable_servers.targets.gcp.template import FIXED, LAUNCH
from immutable_servers.targets.gcp.upstream import find_locked
from immutable_servers.targets.gcp.verifier import render_way

KINDS = ("instances", "disks", "firewalls")
"""What a bake makes. An instance holds its disk, so it goes first."""
FULL = "zoneResourcePoolExhausted"
REFUSALS: Mapping[str, str] = {
    r"does not have enough resources available|ZONE_RESOURCE_POOL_EXHAUSTED": FULL,
    r"Quota '\w+' exceeded|QUOTA_EXCEEDED": "quotaExceeded",
}
"""Google's words for a machine that does not start, which Packer prints, and their reasons.
https://docs.cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation"""
ANSWERED = "googleapi: Error "
"""How any other refusal begins."""
PRINTED = "googlecompute.gcp: "
"""Before what Packer's plugin says."""
MOST_MANIFEST = 40
"""An image takes 64 labels; these hold the digests of some 50 files."""
LEAST_SECONDS = 30
"""https://docs.cloud.google.com/compute/docs/instances/limit-vm-runtime#restrictions"""


def find_bakes(api: Api, collection: str) -> Sequence[Mapping[str, Any]]:
    """Return what bakes have made of a kind."""
    method = "list" if collection == "firewalls" else "aggregatedList"
    found = api.list(collection, method, filter='name eq "bake-.*"')
    return [one for one in found if bakes.read_bake(one["name"])]


def remove_bakes(api: Api, image: str, is_dead: bakes.IsDead, say: Say) -> None:
    """Remove what bakes of an image left that are dead."""

    def remove(collection: str, thing: Mapping[str, Any]) -> None:
        where = {"zone": last_part(thing["zone"])} if "zone" in thing else {}
        api.delete(collection, thing["name"], **where)

    found = ((kind, one) for kind in KINDS for one in find_bakes(api, kind))
    bakes.remove_dead(found, remove, image, is_dead, say)


def bake_image(request: BakeRequest, packer: Packer, api: Api) -> None:
    """Bake in the first zone that has room, into an image that has all its labels from the start.

    Packer removes instance and disk at the end, and the cloud itself ends its instance at the
    bake's deadline.

    Raises:
        ImmutableError: The lock's image cannot be used, Packer failed, or Google refused.
    """
    name = bakes.name_bake(request)
    about = {**_find_start(request, api), **render_variables(request, api, name)}
    with bakes.start_login(request, render_login) as login, let_in(api, name):
        for zone in (zones := find_bake_zones(api)):
            try:
                packer.build({**about, **login, "zone": zone})
            except ImageError as error:
                _judge(error, request, api, zone, is_last=zone == zones[-1])
                api.delete("disks", name, zone=zone)  # of an instance that never was
            else:
                return


def _find_start(request: BakeRequest, api: Api) -> dict[str, str]:
    """Return the variables of the image that a bake starts from, and of its disk."""
    if request.parent:
        image, size = request.parent.id, request.parent.facts["gigabytes"]
    else:
        image = str(request.lock["image"])
        size = int(find_locked(api, request.lock)["diskSizeGb"])
    return {
        "source_project": image.split("/")[1],
        "source_image": last_part(image),
        "disk_size": str(max(api.settings.volume or size, size)),
    }


def render_variables(request: BakeRequest, api: Api, name: str) -> dict[str, str]:
    """Return the variables of `source.pkr.hcl` but for zone, login and start of the bake."""
    settings, size = api.settings, api.settings.bake_type
    words = {"image": request.image, "version": request.version}
    return {
        "name": name,
        "project": settings.project,
        "machine_type": size,
        "disk_type": settings.find_disk_type(size),
        "network": "" if settings.subnetwork else settings.network,
        "subnetwork": settings.subnetwork,
        "external": json.dumps(settings.public_addresses or settings.build_reach == "ssh"),
        "through": settings.build_reach,
        "service_account": settings.build_service_account,
        "seconds": str(max(int(request.deadline), LEAST_SECONDS)),
        "labels": json.dumps(LABELS.write(words)),
        "image_name": name_image(request.image, request.version),
        "image_family": f"im-{request.image}",
        "image_architecture": settings.architecture.upper(),
        "image_description": render_description(request.lineage, **{MARK: 1}),
        "image_labels": json.dumps(render_labels(request)),
    }


def render_labels(request: BakeRequest) -> dict[str, str]:
    """Return an image's labels."""
    words = {"image": request.image, "version": request.version}
    return {**LABELS.write(words), **pack_manifest(LABELS, request.manifest, MOST_MANIFEST)}


def render_login(launch: str) -> dict[str, str]:
    """Return the variables that hand an instance its launch data.

    Without any it takes Packer's own key, by Google's agent in an upstream image.
    """
    return {"metadata": json.dumps({**FIXED, LAUNCH: launch} if launch else FIXED)}


def find_bake_zones(api: Api) -> Sequence[str]:
    """Return where a bake may stand, in the order in which zones are tried."""
    return find_zones(api, api.settings.bake_type, api.settings.build_zone)


@contextmanager
def let_in(api: Api, name: str) -> Iterator[None]:
    """Let Packer in to the bake's instance: its plugin makes no rule.

    A network may have no rule for SSH, as the default one has it for everybody.
    """
    rule = {
        **render_way(api, name, api.settings.build_reach),
        "description": json.dumps({MARK: 1, **bakes.read_bake(name)}),
        "targetTags": [name],
    }
    api.call("firewalls", "insert", body=rule)
    try:
        yield
    finally:
        api.delete("firewalls", name)


def _judge(error: ImageError, request: BakeRequest, api: Api, zone: str, *, is_last: bool) -> None:
    """Raise what ended a bake, unless it may begin again in another zone.

    Raises:
        ImmutableError: With Google's refusal, where Packer printed one.
    """
    refusal = read_refusal(error)
    if refusal is None:
        raise error
    refusal.said += f" (log: {request.log})"
    if is_last or not refusal.is_one_of([FULL]):
        where = f"{api.settings.project}, {zone}"
        raise explain(refusal, f"the bake of {request.image}", where, ImageError) from error
    request.say(f"{zone} has no room for such a machine now: tries the next zone")


def read_refusal(error: ImageError) -> GoogleError | None:
    """Return Google's refusal among what Packer printed; None when it failed otherwise."""
    for line in error.facts:
        said = line.rpartition(PRINTED)[2].strip(" *")
        code = next((code for words, code in REFUSALS.items() if re.search(words, said)), "")
        refusal = GoogleError([code], said)
        if code or refusal.denied or ANSWERED in said:
            return refusal
    return None
