"""How to look at a candidate that failed: logins while its window is open, and console logs."""

import time
from collections.abc import Iterator

from immutable_servers.context import Place
from immutable_servers.errors import ImmutableError
from immutable_servers.targets.contract import Target
from immutable_servers.verification.report import Report

MOST_SERVERS = 3
"""Of so many servers it is said; the others failed in the same way, most likely."""


def describe_inspection(place: Place, report: Report) -> list[str]:
    """Return lines that name the login command, until when it works, and the console log."""
    try:
        return list(_describe(place, place.load(), report))
    except (ImmutableError, OSError):
        return []  # a hint must not hide what failed


def _describe(place: Place, target: Target, report: Report) -> Iterator[str]:
    bad = [server.server for server in report.servers if not server.ok]
    names = bad or [server.name for server in target.find_servers(place.scope)]
    logins = {login.server: login.command for login in target.describe_logins(place.scope)}
    consoles = target.find_consoles(place.scope)
    fleet = target.find_fleets(place.scope).get(place.scope.generation)
    ends = int(fleet.record.get("window_ends") or 0) if fleet else 0
    until = time.strftime("%H:%M UTC", time.gmtime(ends))
    for name in names[:MOST_SERVERS]:
        if logins.get(name) and ends > time.time():
            yield f"{name}: log in until {until}: {logins[name]}"
        if name in consoles:
            yield f"{name}: console log: {consoles[name]}"
