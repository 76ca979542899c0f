"""Looks up what a base image starts from: the newest Debian AMIs, and the SSM agent."""

import hashlib
import re
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.names import where
from immutable_servers.targets.aws.settings import DEBIAN_OWNER, AwsSettings

DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
PLACE = "https://s3.amazonaws.com/ec2-downloads-windows/SSMAgent"
"""https://docs.aws.amazon.com/systems-manager/latest/userguide/agent-install-deb.html"""
SUITES: Mapping[str, str] = {"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}
"""Debian's names for its releases: https://wiki.debian.org/DebianReleases."""
_SECONDS = 60


def find_upstream(api: Api, wanted: Mapping[str, str], say: Say) -> dict[str, Any]:
    """Return a lock's new entry: owner, name, and an AMI id for each region that has it.

    Args:
        api: The stack's own region.
        wanted: `suite`, or `owner` and `name` (with wildcards) for another distribution.
        say: Takes progress.

    Raises:
        ImageError: There is no such AMI.
    """
    owner = wanted.get("owner", DEBIAN_OWNER)
    name = wanted.get("name") or render_name(wanted.get("suite", "stable"), api)
    say(f"looks for the newest AMI {name} of {owner}")
    found = _find(api, owner, name)
    if not found:
        raise ImageError(
            f"There is no AMI to start from in {api.region}",
            facts=[f"owner {owner}, name {name}, architecture {api.settings.architecture}"],
            todo="Correct `upstream` of the image in the stack file.",
        )
    newest = max(found, key=_rank)["Name"]
    say(f"{newest}: looks for it in every region")
    everywhere = api.ask_everywhere(lambda there: _find(there, owner, newest))
    amis = {there.region: max(amis, key=_rank)["ImageId"] for there, amis in everywhere if amis}
    more = {"ssm_agent": dict(find_agent(api.settings, say))} if needs_agent(api.settings) else {}
    return {**more, "owner": owner, "name": newest, "amis": amis}


def render_name(suite: str, api: Api) -> str:
    """Return the pattern of Debian's names for a suite's AMIs.

    Raises:
        ImageError: Debian has no such suite at AWS.
    """
    release = "*" if suite == "stable" else SUITES.get(suite, suite)
    if release != "*" and not release.isdigit():
        raise ImageError(
            f"Debian has no suite {suite!r} at AWS",
            facts=[f"Known are stable, {', '.join(SUITES)}."],
            todo="Correct `upstream` of the image in the stack file.",
        )
    return f"debian-{release}-{DEBIAN_ARCHITECTURES[api.settings.architecture]}-*"


def find_locked(lock: Mapping[str, Any], region: str) -> str:
    """Return the AMI id that a lock's entry holds for a region.

    Raises:
        ImageError: It holds none.
    """
    amis: Mapping[str, str] = lock.get("amis", {})
    if region not in amis:
        raise ImageError(
            f"The lock has no AMI for {region}",
            facts=[f"It has: {', '.join(sorted(amis)) or 'none'}"],
            todo="Run ./immutable update --stack STACK, with the name of this stack, and commit the"
            " lock.",
        )
    return amis[region]


def _find(api: Api, owner: str, name: str) -> Sequence[Mapping[str, Any]]:
    wanted = {"name": name, "architecture": api.settings.architecture, "state": "available"}
    return api.find_amis(*(where(*one) for one in wanted.items()), owners=[owner])


def _rank(ami: Mapping[str, Any]) -> tuple[int, str, str]:
    """Order by Debian's release, where the name says it (not `sid`), then by age and name."""
    release = re.match(r"debian-(\d+)-", ami["Name"])
    return int(release[1]) if release else 0, ami["CreationDate"], ami["Name"]


def needs_agent(settings: AwsSettings) -> bool:
    """Return whether bakes or checks log in through Session Manager, whose agent Debian lacks."""
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
            return bytes(answer.read())
    except OSError as error:
        raise ImageError(
            "The SSM agent cannot be looked up",
            facts=[f"{url}: {error}"],
            todo="See that this machine reaches Amazon S3, then run ./immutable update again.",
        ) from error
