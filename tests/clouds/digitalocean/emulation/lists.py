"""Lists in pages: `links.pages.next` is a URL of the real host, wherever the API is."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from clouds.digitalocean.emulation.calls import Call
from clouds.digitalocean.emulation.store import Thing, show
from clouds.digitalocean.emulation.world import World

HOST = "https://api.digitalocean.com"
USUAL, MOST = 20, 200
"""How many things a page holds when a call does not say, and at most."""


def list_page(world: World, call: Call, key: str, things: Sequence[Thing]) -> dict[str, Any]:
    """Return the page of things that a call asks for."""
    size = min(int(call.asked.get("per_page", USUAL)), MOST)
    if call.is_strange and world.manners.page:
        size = min(size, world.manners.page)
    page = int(call.asked.get("page", 1))
    last = max(1, -(-len(things) // size))
    shown = [show(one) for one in things[(page - 1) * size : page * size]]
    pages = {}
    if page < last:
        pages = {"next": _link(call, page + 1), "last": _link(call, last)}
    if page > 1:
        pages |= {"first": _link(call, 1), "prev": _link(call, page - 1)}
    links = {"pages": pages} if pages else {}
    return {key: shown, "links": links, "meta": {"total": len(things)}}


def _link(call: Call, page: int) -> str:
    asked: Mapping[str, object] = {**call.asked, "page": page}
    path = call.operation.path.format(**call.which)
    return f"{HOST}{path}?{urlencode(asked)}"
