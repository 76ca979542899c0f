"""Says whose credentials are used, until when they hold, and whether the region is enabled."""

import datetime as dt
import time
from collections.abc import Iterator

from immutable_servers.contract.readiness import Finding
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.aws.api import Api

HOME = "us-east-1"
"""A region that every account has enabled."""
STATIC = ("env", "shared-credentials-file", "config-file")
"""Places of credentials that the SDK does not renew: botocore/credentials.py."""
SOON = 3600.0
"""Two bakes, a launch and its checks fit into it."""


def check(api: Api) -> Iterator[Finding]:
    """Yield the lines on credentials and region."""
    try:
        caller = api.call("sts", "get_caller_identity")
    except ImmutableError as error:
        if api.region == HOME or not _works_at_home(api):
            raise
        todo = f"Enable {api.region} for the account, or correct immutable-servers:aws region."
        yield Finding("region", "not ok", f"{api.region}: {'; '.join(error.facts)}", todo)
        return
    profile = f", profile {api.settings.profile}" if api.settings.profile else ""
    yield Finding("credentials", "ok", f"account {caller['Account']}, {caller['Arn']}{profile}")
    found = api.find_credentials()
    yield judge_time(api.find_credentials_end(), found.method, found.token, time.time())
    yield from _check_region(api)


def judge_time(end: float | None, method: str, token: str | None, now: float) -> Finding:
    """Return the line on the remaining time.

    Args:
        end: When the credentials end, in seconds since the epoch, where something says it.
        method: botocore's name of where they are from.
        token: The session's; a long-lived key has none.
        now: The time.
    """
    what = "credentials' time"
    if end is None and method not in STATIC:
        return Finding(what, "ok", f"{method}: renewed while its session lasts")
    if end is None and not token:
        return Finding(what, "ok", "a long-lived key, without an end")
    if end is None:
        todo = "See that they hold for an update: bakes, checks, canary and drain."
        return Finding(what, "note", "unknown: nothing says when they end", todo)
    at = dt.datetime.fromtimestamp(end, dt.UTC)
    said = f"{(end - now) // 60:.0f} min, until {at:%H:%M} UTC"
    if end - now >= SOON:
        return Finding(what, "ok", said)
    todo = "Log in again before a long update, or let the role's session last longer."
    return Finding(what, "note", said, todo)


def _works_at_home(api: Api) -> bool:
    try:
        return bool(api.elsewhere(HOME).call("sts", "get_caller_identity"))
    except ImmutableError:
        return False


def _check_region(api: Api) -> Iterator[Finding]:
    names = [api.region]
    wrong = ("InvalidParameterValue",)
    try:
        found = api.list(
            "ec2", "describe_regions", missing=wrong, RegionNames=names, AllRegions=True
        )
    except ImmutableError:
        return  # a refusal is the line of the preview's permissions
    state = found[0].get("OptInStatus", "") if found else "not known to this account"
    if state in ("opt-in-not-required", "opted-in"):
        yield Finding("region", "ok", f"{api.region} is enabled")
    else:
        todo = "Enable it for the account, or correct immutable-servers:aws region."
        yield Finding("region", "not ok", f"{api.region}: {state or 'not enabled'}", todo)
