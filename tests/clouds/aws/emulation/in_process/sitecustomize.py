"""Python imports it at its start in each process of a run on the emulated cloud.

It brings what this machine cannot give without root's rights: the names of the cloud's balancers,
and its clock.
"""

import os
import sys
import time
from importlib import import_module
from pathlib import Path

CLOUDS = Path(__file__).resolve().parents[3]
FOLDERS = [str(CLOUDS / "shared"), str(CLOUDS / "aws/emulation")]


def _install() -> None:
    sys.path.extend(FOLDERS)
    try:
        cloud_clock, cloud_names = map(import_module, ("cloud_clock", "cloud_names"))
    finally:
        for folder in FOLDERS:
            sys.path.remove(folder)
    cloud_names.resolve_names()
    file = os.environ.get(cloud_clock.VARIABLE)
    if file:
        time.time = cloud_clock.Clock(Path(file)).now


_install()
