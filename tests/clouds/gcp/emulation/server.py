"""Runs the emulated cloud: `server.py FOLDER` prints its endpoint.

It ends when its standard input does, so it cannot outlive the tests that started it.
"""

import json
import os
import sys
from pathlib import Path

from clouds.gcp.emulation.parts import PARTS
from clouds.gcp.emulation.seed import seed
from clouds.gcp.emulation.wire import Server
from clouds.gcp.emulation.world import World


def main(folder: Path) -> None:
    """Serve until nobody holds our standard input any more."""
    world = World(folder)
    seed(world)
    world.parts += [part(world) for part in PARTS]
    world.start()
    ready = {"endpoint": Server(world).start(), "network": world.network}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the tests read it
    sys.stdin.read()
    world.end()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
