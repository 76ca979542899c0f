"""Tags what bakes make in a cloud account, finds dead bakes, and logs a bake in."""

import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from immutable_servers.contract.values import BakeRequest
from immutable_servers.system.places import data_dir, runtime_dir
from immutable_servers.targets.cloud import ends
from immutable_servers.targets.shared import launch_data, login_keys
from immutable_servers.targets.shared.bake_locks import is_held

BAKE, HOST, VERSION = "bake", "bake-host", "version"
"""Tags of what a bake makes beside the image: the image's name, who bakes, and the version."""
MOST_HOST = 255


def describe_bake(request: BakeRequest) -> dict[str, str]:
    """Return our tags of all that a bake makes beside the image."""
    return {
        BAKE: request.image,
        ends.BAKE: str(int(time.time() + request.deadline)),
        HOST: name_machine(),
        VERSION: request.version,
    }


def name_machine() -> str:
    """Return who bakes: this machine, and the folder of its locks."""
    return f"{socket.gethostname()}:{data_dir()}"[:MOST_HOST]


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


@contextmanager
def start_login(request: BakeRequest) -> Iterator[tuple[Path, str]]:
    """Yield a key and the launch data that lets it in to a sealed parent while the bake lasts."""
    folder = runtime_dir(request.template)
    try:
        public = login_keys.make_key(folder, "bake")
        launch = launch_data.describe_bake(request.version, public, request.deadline)
        yield folder / login_keys.KEY, launch_data.render_launch(launch)
    finally:
        shutil.rmtree(folder)
