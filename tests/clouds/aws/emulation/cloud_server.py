"""Runs the emulated cloud: `cloud_server.py FOLDER` prints its endpoint and its network.

It ends when its standard input does, so it cannot outlive the tests that started it.
"""

import json
import logging
import os
import sys
import threading
from pathlib import Path

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from clouds.aws.emulation.cloud_api import RecordingApp
from clouds.aws.emulation.cloud_patches import patch
from clouds.aws.emulation.cloud_world import World


class Quiet(MotoRequestHandler):  # type: ignore[misc]
    """Says nothing of the calls: the journal has them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Do nothing."""


def main(folder: Path) -> None:
    """Serve until nobody holds our standard input any more."""
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    world = World(folder)
    patch(world)
    app = RecordingApp(DomainDispatcherApplication(create_backend_app), world)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready = {"endpoint": f"http://127.0.0.1:{server.server_port}", "network": world.network}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the tests read it
    sys.stdin.read()
    world.end()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
