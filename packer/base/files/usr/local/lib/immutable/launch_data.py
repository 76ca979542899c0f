"""Reads what this server was handed at its launch: one JSON document, from the first source of one.

A new kind of machine is one more function in `SOURCES`. Only the standard library is at hand here.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CREDENTIALS = Path("/run/credentials/@system")
"""Where systemd keeps what the machine's firmware handed it (systemd.exec(5), CREDENTIALS)."""

VENDOR = Path("/sys/class/dmi/id/sys_vendor")
"""Who made the machine, as its firmware says it."""
EC2 = "Amazon EC2"
EC2_METADATA = "169.254.169.254"
"""Where an instance asks about itself, with a token first (IMDSv2):
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"""
METADATA_SECONDS = 30.0
"""How long the network of a machine that boots may take."""
FOUND, MISSING = 200, 404

LaunchData = Mapping[str, Any]


def read_credentials() -> LaunchData | None:
    """Return the launch data of a QEMU machine, with its host key when there is one."""
    document = CREDENTIALS / "immutable.launch"
    if not document.exists():
        return None
    launch = json.loads(document.read_text(encoding="utf-8"))
    host_key = CREDENTIALS / "immutable.host-key"
    return {**launch, "host_key": host_key.read_text()} if host_key.exists() else launch


def read_ec2_user_data() -> LaunchData | None:
    """Return the launch data of an EC2 instance, under a name of its own.

    An instance without user data has none; other user data than ours fails the boot step.
    """
    if not VENDOR.exists() or VENDOR.read_text(encoding="utf-8").strip() != EC2:
        return None
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = {"X-aws-ec2-metadata-token": _ask(EC2_METADATA, "PUT", "/latest/api/token", lifetime)}
    document = _ask(EC2_METADATA, "GET", "/latest/user-data", token)
    if not document:
        return {}
    launch = json.loads(document)
    instance = _ask(EC2_METADATA, "GET", "/latest/meta-data/instance-id", token)
    return {**launch, "server": f"{launch['service']}-{launch['generation']}-{instance}"}


def _ask(address: str, method: str, path: str, headers: Mapping[str, str]) -> str:
    """Ask a cloud's metadata server, which is there as soon as the network is; 404 is empty.

    Raises:
        OSError: It was not there in time.
    """
    ends = time.monotonic() + METADATA_SECONDS
    while time.monotonic() < ends:
        status, text = _ask_once(address, method, path, headers)
        if status in {FOUND, MISSING}:
            return text if status == FOUND else ""
        time.sleep(0.5)
    message = f"http://{address}{path} did not answer within {METADATA_SECONDS:.0f} s: {text}"
    raise OSError(message)


def _ask_once(address: str, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    """Return status and text; status 0 is no answer."""
    # Machines that are handed their launch data in another way are spared the time that this takes.
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415

    connection = HTTPConnection(address, timeout=5)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, HTTPException) as error:
        return 0, str(error) or type(error).__name__
    finally:
        connection.close()


SOURCES: tuple[Callable[[], LaunchData | None], ...] = (read_credentials, read_ec2_user_data)
"""Asked in this order; the first answer counts."""


def find_launch_data() -> LaunchData:
    """Return the launch data, empty when no source has any: such a server boots sealed."""
    for read in SOURCES:
        launch = read()
        if launch is not None:
            return launch
    return {}
