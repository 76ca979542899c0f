"""Tags what bakes make in a cloud account, finds dead bakes, and logs a bake in."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from immutable_servers.contract.values import BakeRequest, Say
from immutable_servers.system.machine import find_machine
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.shared import launch_data, login_keys
from immutable_servers.targets.shared.bake_locks import is_held

BAKE, HOST, VERSION = "bake", "bake-host", "version"
"""Tags of all that a bake makes: the image's name, who bakes, and the version."""
WORDS = (BAKE, VERSION, HOST, ends.BAKE)
"""What a name says of a bake, where names say it: image, version, who bakes, and when it ends."""
NAME = re.compile(r"bake-(.+)-([0-9a-f]{12})-([0-9a-f]{12})-(\d{10})")
Thing = Mapping[str, Any]
IsDead = Callable[[Mapping[str, str]], bool]
"""Returns whether a thing with such tags is of a bake that runs no more."""


def describe_bake(request: BakeRequest) -> dict[str, str]:
    """Return our tags of all that a bake makes; the image keeps them."""
    return {
        BAKE: request.image,
        ends.BAKE: str(int(time.time() + request.deadline)),
        HOST: name_machine(),
        VERSION: request.version,
    }


def name_bake(request: BakeRequest) -> str:
    """Return the name of all that a bake makes, where a name says whose a thing is."""
    words = describe_bake(request)
    return "-".join(["bake", *(words[word] for word in WORDS)])


def read_bake(name: str) -> dict[str, str]:
    """Return the words in the name of what a bake makes; none of another thing's."""
    found = NAME.fullmatch(name)
    return dict(zip(WORDS, found.groups(), strict=True)) if found else {}


def remove_dead(
    found: Iterable[tuple[str, Thing]],
    remove: Callable[[str, Thing], object],
    image: str,
    is_dead: IsDead,
    say: Say,
) -> None:
    """Remove what bakes of an image left that are dead, where names say whose a thing is.

    Args:
        found: What bakes have made, as collection and thing, in the order in which it goes.
        remove: Removes one of them.
        image: The image's name.
        is_dead: Says it by the words in a thing's name.
        say: Takes progress.
    """
    for collection, thing in found:
        name, words = thing["name"], read_bake(thing["name"])
        if words[BAKE] == image and is_dead(words):
            say(f"removes what a killed run left: {collection.removesuffix('s')} {name}")
            remove(collection, thing)


def name_machine() -> str:
    """Return who bakes: this machine, and the folder of its locks.

    Another machine may have the same host name and the same folder, and its locks are not here.
    A digest, since whoever may look at images reads it as long as they live.
    """
    machine = find_machine()
    text = f"{machine.host}:{machine.id}:{data_dir()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_dead(words: Mapping[str, str], target: str, image: str, version: str) -> bool:
    """Return whether a thing is of a bake that runs no more.

    A bake of this machine is dead when nobody holds its version's lock, or when the caller holds
    it, who is about to bake `version`; another machine's bake is dead when its time is over.
    """
    if ends.is_over(words, ends.BAKE):
        return True
    if words.get(HOST) != name_machine():
        return False
    baked = words.get(VERSION, "")
    return baked == version or not is_held(target, image, baked)


class BakeKey(NamedTuple):
    """A key of one bake.

    Attributes:
        public: Its public half.
        file: The file with the private one.
        launch: Launch data that let it in, for a parent: that is sealed.
    """

    public: str
    file: str
    launch: str


@contextmanager
def start_key(request: BakeRequest) -> Iterator[BakeKey]:
    """Yield a key of a bake, whose file lives as long."""
    folder = runtime_dir(request.template)
    try:
        public = login_keys.make_key(folder, "bake")
        launch = launch_data.describe_bake(request.version, public, request.deadline)
        file = str(folder / login_keys.KEY)
        yield BakeKey(public, file, launch_data.render_launch(launch))
    finally:
        shutil.rmtree(folder)


@contextmanager
def start_login(
    request: BakeRequest, render: Callable[[str], Mapping[str, str]]
) -> Iterator[Mapping[str, str]]:
    """Yield the variables of a bake's login while it lasts.

    An upstream image takes Packer's own temporary key. A parent is sealed, so it is handed launch
    data with a key of this bake.

    Args:
        request: The bake's.
        render: Returns the variables that hand a machine its launch data; empty without any.
    """
    if request.parent is None:
        yield render("")
        return
    with start_key(request) as key:
        yield {"login": key.file, **render(key.launch)}
