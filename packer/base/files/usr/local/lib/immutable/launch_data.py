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

SYS = Path("/sys")
EC2, EC2_UUID = "Amazon EC2", "ec2"
"""The vendor of EC2's machines, as their firmware says it, and how their UUIDs begin."""
GOOGLE = "Google"
"""The vendor of Compute Engine's machines:
https://docs.cloud.google.com/compute/docs/instances/detect-compute-engine"""
DIGITALOCEAN = "DigitalOcean"
"""The vendor of droplets, as cloud-init's `DataSourceDigitalOcean` tells them."""
METADATA = "169.254.169.254"
"""Where a machine of any of them asks about itself. EC2's wants a token first (IMDSv2):
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html, and Google's a
header: https://docs.cloud.google.com/compute/docs/metadata/querying-metadata. A droplet's wants
nothing: https://docs.digitalocean.com/reference/api/metadata/"""
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
    if not is_ec2():
        return None
    document, instance = ask_ec2("/latest/user-data", "/latest/meta-data/instance-id")
    if not document:
        return {}
    launch = json.loads(document)
    return {**launch, "server": f"{launch['service']}-{launch['generation']}-{instance}"}


def ask_ec2(*paths: str) -> list[str]:
    """Return what EC2's metadata says at some paths; a missing one is empty.

    Raises:
        OSError: It was not there in time.
    """
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = {"X-aws-ec2-metadata-token": _ask(METADATA, "PUT", "/latest/api/token", lifetime)}
    return [_ask(METADATA, "GET", path, token) for path in paths]


def is_ec2() -> bool:
    """Return whether this machine is an EC2 instance, as cloud-init's `identify_aws` tells it.

    On Xen the vendor is `Xen`; its hypervisor has a UUID of EC2's, or the firmware one that is its
    serial number too, perhaps with the bytes of its first part reversed:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html
    """
    if _read("class/dmi/id/sys_vendor") == EC2 or _is_ec2s(_read("hypervisor/uuid")):
        return True
    uuid = _read("class/dmi/id/product_uuid").lower()
    return uuid == _read("class/dmi/id/product_serial").lower() and _is_ec2s(uuid)


def read_google_metadata() -> LaunchData | None:
    """Return the launch data of a Compute Engine instance, under a name of its own.

    Its template, which is sealed, has one part; its group adds the window while that is open. An
    instance without the first has none.
    """
    if _read("class/dmi/id/sys_vendor") != GOOGLE:
        return None
    document, window, instance = ask_google(
        "attributes/immutable-launch", "attributes/immutable-window", "name"
    )
    if not document:
        return {}
    launch = {**json.loads(document), **(json.loads(window) if window else {})}
    last = instance.rpartition("-")[2]
    return {**launch, "server": f"{launch['service']}-{launch['generation']}-{last}"}


def ask_google(*paths: str) -> list[str]:
    """Return what Google's metadata says of this instance at some paths; a missing one is empty.

    Raises:
        OSError: It was not there in time.
    """
    flavour = {"Metadata-Flavor": "Google"}
    place = "/computeMetadata/v1/instance/"
    return [_ask(METADATA, "GET", f"{place}{path}", flavour) for path in paths]


def read_droplet_user_data() -> LaunchData | None:
    """Return the launch data of a droplet, which has its name; one without user data has none."""
    if _read("class/dmi/id/sys_vendor") != DIGITALOCEAN:
        return None
    document = ask_droplet("/metadata/v1/user-data")
    return json.loads(document) if document else {}


def ask_droplet(path: str) -> str:
    """Return what DigitalOcean's metadata says at a path; a missing one is empty.

    Raises:
        OSError: It was not there in time.
    """
    return _ask(METADATA, "GET", path, {})


def _is_ec2s(uuid: str) -> bool:
    first = uuid.lower().partition("-")[0]
    swapped = "".join(first[at : at + 2] for at in range(len(first) - 2, -1, -2))
    return first.startswith(EC2_UUID) or swapped.startswith(EC2_UUID)


def _read(name: str) -> str:
    """Return what the kernel says of the machine; empty where it says nothing."""
    try:
        return (SYS / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


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


SOURCES: tuple[Callable[[], LaunchData | None], ...] = (
    read_credentials,
    read_ec2_user_data,
    read_google_metadata,
    read_droplet_user_data,
)
"""Asked in this order; the first answer counts."""


def find_launch_data() -> LaunchData:
    """Return the launch data, empty when no source has any: such a server boots sealed."""
    for read in SOURCES:
        launch = read()
        if launch is not None:
            return launch
    return {}
