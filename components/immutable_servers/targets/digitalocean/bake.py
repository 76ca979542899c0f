"""Bakes on a droplet, and removes what killed bakes have left.

All that a bake makes has one name, which says whose it is and when it had to be gone: the droplet,
its firewall, the account's key and the snapshot, which gets the image's name as the last step. The
name is a tag, too, by which the firewall has the droplet from its first moment.
"""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from immutable_servers.contract.images import Packer
from immutable_servers.contract.values import BakeRequest, Say
from immutable_servers.errors import ImageError, ImmutableError
from immutable_servers.targets.cloud import bakes
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.faults import DoError
from immutable_servers.targets.digitalocean.firewalls import SSH_PORT, Firewalls
from immutable_servers.targets.digitalocean.names import name_image
from immutable_servers.targets.digitalocean.upstream import find_locked
from immutable_servers.targets.digitalocean.verifier import find_verifiers

KEYS = "ssh_keys"
"""A token may list them ten times a minute."""
IDS: Mapping[str, str] = {
    "droplets": "droplet_id",
    "images": "image_id",
    "firewalls": "firewall_id",
    KEYS: "ssh_key_identifier",
    "tags": "tag_id",
}
"""What a bake makes, in the order in which it goes, and what the API calls the id of each."""
BEGUN = "has begun to bake it"
LOOK_SECONDS = 10.0
"""How often the actions of a bake's droplet are looked at: a token has 250 calls a minute."""
BASE_SECONDS, GIGABYTE_SECONDS = 600.0, 120.0
"""How long a copy to another region may take, and more for each GB of the disk.
https://docs.digitalocean.com/products/snapshots/details/limits/"""
CODES: Mapping[str, str] = {"401": "unauthorized", "403": "forbidden", "429": "too_many_requests"}
REFUSED = re.compile(r'https?://\S+: (\d{3}) (?:\(request "[^"]*"\) )?(.+)')
"""How the plugin prints a refusal: `ErrorResponse.Error` of godo."""
UNSEEN = re.compile(r"become active: GET \S+/v2/droplets/\d+: 404")
"""A droplet may not be found at once, and the plugin asks for it at once:
https://github.com/digitalocean/terraform-provider-digitalocean/issues/1486"""


def find_bakes(
    api: Api, collection: str, image: str = "", version: str = ""
) -> Sequence[Mapping[str, Any]]:
    """Return what bakes have made of a kind of `IDS`, all or those of one version."""
    wanted = {bakes.BAKE: image, bakes.VERSION: version} if image else {}
    found = [(one, bakes.read_bake(one["name"])) for one in api.list(collection)]
    return [one for one, words in found if words and wanted.items() <= words.items()]


def remove_thing(api: Api, collection: str, thing: Mapping[str, Any]) -> None:
    """Delete what a bake has made; what is gone is no error, and a tag's id is its name."""
    api.delete(collection, **{IDS[collection]: thing.get("id", thing["name"])})


def remove_bakes(
    api: Api, image: str, is_dead: bakes.IsDead, say: Say, kinds: Collection[str] = tuple(IDS)
) -> None:
    """Remove what bakes of an image left that are dead."""
    found = ((kind, one) for kind in kinds for one in find_bakes(api, kind))
    bakes.remove_dead(found, partial(remove_thing, api), image, is_dead, say)


def bake_image(request: BakeRequest, packer: Packer, api: Api, description: str) -> None:
    """Bake a snapshot, copy it, and name it last; nothing else is left, however it ends.

    Raises:
        ImmutableError: The lock's image cannot be used, Packer failed, or DigitalOcean refused.
    """
    name, parent = bakes.name_bake(request), request.parent
    start = parent.id if parent else str(find_locked(api, request.lock)["id"])
    about = {"source_image": start, **render_variables(request, api, name)}
    try:
        with _start_login(request, api, name) as login:
            _build(request, packer, api, {**about, **login})
        _finish(request, api, name, description)
    finally:
        _remove_own(request, api, bakes.read_bake(name))


def _build(request: BakeRequest, packer: Packer, api: Api, variables: Mapping[str, str]) -> None:
    """Run Packer, again where DigitalOcean did not know the new droplet yet.

    Raises:
        ImmutableError: It failed, or DigitalOcean refused.
    """
    for is_last in (False, False, True):
        try:
            packer.build(variables, Watch(api, variables["name"]))
        except ImageError as error:
            if is_last or not UNSEEN.search("\n".join(error.facts)):
                _judge(error, request, api)
                raise
            request.say("DigitalOcean does not know the bake's new droplet yet: begins again")
        else:
            return


def _remove_own(request: BakeRequest, api: Api, own: Mapping[str, str]) -> None:
    """Remove what a bake has left but image and key; what cannot go now, the next one removes."""
    try:
        kinds = [one for one in IDS if one != KEYS]
        remove_bakes(api, request.image, lambda words: words == own, lambda _line: None, kinds)
    except ImmutableError as error:
        request.say(f"what the bake has left is removed by the next one: {error.what}")


def render_variables(request: BakeRequest, api: Api, name: str) -> dict[str, str]:
    """Return the variables of `source.pkr.hcl` but for login and start of the bake."""
    settings = api.settings
    return {
        "name": name,
        "tags": json.dumps([name]),
        "region": settings.region,
        "size": settings.bake_type,
        "vpc": settings.vpc,
        "private": json.dumps(settings.reach == "private"),
        "seconds": str(int(request.deadline)),
    }


@contextmanager
def _start_login(request: BakeRequest, api: Api, name: str) -> Iterator[Mapping[str, str]]:
    """Yield the variables of a login by a key of this bake, which the account has meanwhile.

    The key says that this run bakes. A parent is sealed, so launch data hands it the key, too.

    Raises:
        ImageError: Another run has begun before.
    """
    with bakes.start_key(request) as own:
        body = {"name": name, "public_key": own.public}
        key = api.call("ssh_keys.create", body=body)["ssh_key"]
        try:
            _refuse_second(request, api, key["id"])
            # Without a firewall of the bake's own its droplet would be open to everybody.
            sources = find_verifiers(api, "public", "ssh_config")
            Firewalls(api).open(name, [name], sources, SSH_PORT)
            launch = own.launch if request.parent else ""
            yield {"login": own.file, "ssh_key": str(key["id"]), "user_data": launch}
        finally:
            remove_thing(api, KEYS, key)


def _refuse_second(request: BakeRequest, api: Api, key: int) -> None:
    """Leave the bake to a run that began before; snapshots may have the same name.

    Raises:
        ImageError: There is one; its image is worth waiting for.
    """
    image, version = request.image, request.version
    is_dead = partial(bakes.is_dead, target=api.settings.target, image=image, version=version)
    for one in find_bakes(api, KEYS, image, version):
        if one["id"] < key and not is_dead(bakes.read_bake(one["name"])):
            raise ImageError(
                f"Another run bakes image {image} {version}",
                facts=[f"{one['name']}, a key of the account, {BEGUN}"],
                todo="Run the same command again when that has ended; what a killed run has left"
                " is removed once its time is over.",
            )


class Watch:
    """Ends Packer when the snapshot has failed: the plugin would wait until its time is over."""

    def __init__(self, api: Api, name: str) -> None:
        self.api, self.name = api, name
        self.next = 0.0

    def __call__(self, line: str) -> None:
        """Look at the droplet's actions, now and then, while the last line says that it is due.

        Raises:
            ImageError: DigitalOcean did not complete it.
        """
        if "snapshot" not in line or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + LOOK_SECONDS
        failed = None
        with suppress(ImmutableError):  # a refused look proves nothing
            failed = self._find_failed()
        if failed:
            refusal = DoError("errored", f"snapshot of {failed['resource_id']} is errored")
            raise self.api.explain(refusal, f"action {failed['id']}")

    def _find_failed(self) -> Mapping[str, Any] | None:
        droplets = self.api.list("droplets", tag_name=self.name)
        failed = (one for droplet in droplets for one in self.api.list_failed(droplet["id"]))
        return next((one for one in failed if one["type"] == "snapshot"), None)


def _finish(request: BakeRequest, api: Api, name: str, description: str) -> None:
    """Copy the snapshot to the other regions, then give it the image's name: it is whole then.

    Raises:
        ImmutableError: A copy failed, or did not come to its end in time.
    """
    snapshot = api.wait("the snapshot of the bake", partial(api.find_named, "images", name))
    which, most = snapshot["id"], BASE_SECONDS + GIGABYTE_SECONDS * snapshot["min_disk_size"]
    actions = []
    for region in api.settings.copies:
        request.say(f"copies the snapshot to {region}")
        body = {"type": "transfer", "region": region}
        actions.append(api.call("image_actions.post", image_id=which, body=body)["action"]["id"])
    for action in actions:
        api.wait_action(action, most)
    words = {"name": name_image(request.image, request.version), "description": description}
    api.call("images.update", image_id=which, body=words)


def _judge(error: ImageError, request: BakeRequest, api: Api) -> None:
    """Raise what DigitalOcean refused, where Packer printed it.

    Raises:
        ImmutableError: With DigitalOcean's words, and what to do.
    """
    for line in error.facts:
        if found := REFUSED.search(line):
            code, said = found.groups()
            refusal = DoError(CODES.get(code, code), f"{said} (log: {request.log})")
            raise api.explain(refusal, f"the bake of {request.image}") from error
