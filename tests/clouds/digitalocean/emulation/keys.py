"""The account's SSH keys; a token may list them ten times a minute."""

import base64
import hashlib

from clouds.digitalocean.emulation.calls import Body, Call, answers
from clouds.digitalocean.emulation.lists import list_page
from clouds.digitalocean.emulation.refusals import refuse_missing, refuse_value
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.world import World


def find_key(world: World, which: object) -> Thing:
    """Return a key by its id or its fingerprint.

    Raises:
        Refusal: There is none.
    """
    for one in world.store.list("ssh_keys"):
        if str(which) in (str(one["id"]), one["fingerprint"]):
            return one
    raise refuse_missing()


@answers("sshKeys.list", "GET /v2/account/keys", "ssh_key:read")
def list_keys(world: World, call: Call) -> Body:
    """Return all of them."""
    return list_page(world, call, "ssh_keys", world.store.list("ssh_keys"))


@answers("sshKeys.create", "POST /v2/account/keys", "ssh_key:create", code=201)
def create(world: World, call: Call) -> Body:
    """Add one; an account has each key once."""
    text = call.body["public_key"].strip()
    try:
        digest = hashlib.md5(base64.b64decode(text.split()[1], validate=True)).hexdigest()  # noqa: S324 - the API's
    except (IndexError, ValueError):
        message = "Key invalid, key should be of the format `ssh-rsa AAAA...`"
        raise refuse_value(message) from None
    print_ = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    if any(one["fingerprint"] == print_ for one in world.store.list("ssh_keys")):
        message = "SSH Key is already in use on your account"
        raise refuse_value(message)
    number = next(world.store.numbers)
    key = {"id": number, "fingerprint": print_, "public_key": text, "name": call.body["name"]}
    return {"ssh_key": show(world.store.put("ssh_keys", number, key))}


@answers("sshKeys.get", "GET /v2/account/keys/{ssh_key_identifier}", "ssh_key:read")
def get(world: World, call: Call) -> Body:
    """Return one."""
    return {"ssh_key": show(find_key(world, call.which["ssh_key_identifier"]))}


@answers("sshKeys.update", "PUT /v2/account/keys/{ssh_key_identifier}", "ssh_key:update")
def update(world: World, call: Call) -> Body:
    """Give one another name."""
    key = find_key(world, call.which["ssh_key_identifier"])
    return {"ssh_key": show(world.store.change("ssh_keys", key["id"], name=call.body["name"]))}


@answers(
    "sshKeys.delete", "DELETE /v2/account/keys/{ssh_key_identifier}", "ssh_key:delete", code=204
)
def delete(world: World, call: Call) -> None:
    """Delete one; droplets keep it."""
    world.store.remove("ssh_keys", find_key(world, call.which["ssh_key_identifier"])["id"])
