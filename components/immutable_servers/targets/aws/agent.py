"""The SSM agent, which Debian's AMI lacks: its newest version and digest, for the lock."""

import hashlib
import urllib.request
from collections.abc import Mapping

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.settings import AwsSettings

PLACE = "https://s3.amazonaws.com/ec2-downloads-windows/SSMAgent"
"""https://docs.aws.amazon.com/systems-manager/latest/userguide/agent-install-deb.html"""
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
_SECONDS = 60


def needs_agent(settings: AwsSettings) -> bool:
    """Tell whether bakes or checks log in through Session Manager."""
    return "ssm" in {settings.build_through, settings.reach}


def find_agent(settings: AwsSettings, say: Say, place: str = PLACE) -> Mapping[str, str]:
    """Return where the newest agent's package is, and its digest.

    Raises:
        ImageError: AWS's storage cannot be reached.
    """
    version = _fetch(f"{place}/latest/VERSION").decode("ascii").strip()
    folder = f"debian_{DEBIAN_ARCHITECTURES[settings.architecture]}"
    url = f"{place}/{version}/{folder}/amazon-ssm-agent.deb"
    say(f"SSM agent {version}")
    return {"url": url, "sha256": hashlib.sha256(_fetch(url)).hexdigest()}


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - built on a constant
            found: bytes = answer.read()
            return found
    except OSError as error:
        raise ImageError(
            "The SSM agent cannot be looked up",
            facts=[f"{url}: {error}"],
            todo="See that this machine reaches Amazon S3, then run ./immutable update again.",
        ) from error
