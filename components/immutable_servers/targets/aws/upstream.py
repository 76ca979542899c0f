"""Looks up what a base image starts from: the newest Debian AMIs, and the SSM agent."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImageError
from immutable_servers.system.downloads import open_https
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import where
from immutable_servers.targets.aws.settings import DEBIAN_OWNER, AwsSettings
from immutable_servers.targets.cloud.debian import make_dead_lock, make_without_upstream

DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
PLACE = "https://s3.amazonaws.com/ec2-downloads-windows/SSMAgent"
"""https://docs.aws.amazon.com/systems-manager/latest/userguide/agent-install-deb.html"""
BUILD = r"-\d{8}-\d+"
"""How the names of Debian's AMIs end. Its account has `debian-13-backports-amd64-...` of the same
day beside `debian-13-amd64-...`: another kernel, and often some minutes newer."""
_SECONDS = 60


def find_newest(api: Api, release: str, say: Say) -> dict[str, Any]:
    """Return a lock entry: the newest AMI of a Debian release, with its id in each region.

    Args:
        api: The stack's own region.
        release: Such as `13`.
        say: Takes progress.

    Raises:
        ImageError: There is no such AMI.
    """
    name = f"debian-{release}-{DEBIAN_ARCHITECTURES[api.settings.architecture]}"
    say(f"looks for Debian's newest AMI {name}-DATE-NUMBER")
    found = [ami for ami in _find(api, f"{name}-*") if re.fullmatch(name + BUILD, ami["Name"])]
    if not found:
        what = f"There is no AMI to start from in {api.region}"
        raise make_without_upstream(what, f"owner {DEBIAN_OWNER}, name {name}-DATE-NUMBER")
    newest = max(found, key=lambda ami: (ami["CreationDate"], ami["Name"]))["Name"]
    say(f"{newest}: looks for it in every region")
    everywhere = api.ask_everywhere(lambda there: _find(there, newest), say)
    amis = {there.region: amis[0]["ImageId"] for there, amis in everywhere if amis}
    more = {"ssm_agent": dict(find_agent(api.settings, say))} if needs_agent(api.settings) else {}
    return {**more, "owner": DEBIAN_OWNER, "name": newest, "amis": amis}


def find_locked(lock: Mapping[str, Any], region: str) -> str:
    """Return the AMI id that a lock's entry holds for a region.

    Raises:
        ImageError: It holds none.
    """
    amis: Mapping[str, str] = lock.get("amis", {})
    if region not in amis:
        has = f"It has: {', '.join(sorted(amis)) or 'none'}"
        raise make_dead_lock(f"The lock has no AMI for {region}", has)
    return amis[region]


def _find(api: Api, name: str) -> Sequence[Mapping[str, Any]]:
    available = where("state", "available")
    return api.find_amis(where("name", name), available, owners=[DEBIAN_OWNER])


def needs_agent(settings: AwsSettings) -> bool:
    """Return whether bakes or checks log in through Session Manager, whose agent Debian lacks."""
    return "ssm" in {settings.build_through, settings.reach}


def find_agent(settings: AwsSettings, say: Say) -> Mapping[str, str]:
    """Return where the newest agent's package is, and its digest.

    Raises:
        ImageError: AWS's storage cannot be reached.
    """
    version = _fetch(f"{PLACE}/latest/VERSION").decode("ascii").strip()
    folder = f"debian_{DEBIAN_ARCHITECTURES[settings.architecture]}"
    url = f"{PLACE}/{version}/{folder}/amazon-ssm-agent.deb"
    say(f"SSM agent {version}")
    return {"url": url, "sha256": hashlib.sha256(_fetch(url)).hexdigest()}


def _fetch(url: str) -> bytes:
    try:
        with open_https(url, _SECONDS) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise ImageError(
            "The SSM agent cannot be looked up",
            facts=[f"{url}: {error}"],
            todo="See that this machine reaches Amazon S3, then run ./immutable update again.",
        ) from error
