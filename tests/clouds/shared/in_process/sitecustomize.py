"""Python imports it at its start in each process of a run on an emulated cloud: the cloud's clock.

Another time is what this machine cannot give without root's rights.
"""

import os
import sys
import time
from importlib import import_module
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parents[1])


def _install() -> None:
    sys.path.append(FOLDER)
    try:
        cloud_clock = import_module("cloud_clock")
    finally:
        sys.path.remove(FOLDER)
    file = os.environ.get(cloud_clock.VARIABLE)
    if file:
        time.time = cloud_clock.Clock(Path(file)).now


_install()
