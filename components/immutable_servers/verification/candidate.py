"""Verifies a candidate: healthy, alone in its group, reachable, and every check passed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from immutable_servers.contract.images import Images
from immutable_servers.contract.plain import restore_numbers
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import FleetSpec, Health, Launch, Login, Say
from immutable_servers.errors import ImmutableError, LaunchError, StoppedError
from immutable_servers.targets.place import Place
from immutable_servers.targets.questions import wait_until_healthy
from immutable_servers.verification.before_traffic import run_before_traffic
from immutable_servers.verification.report import Report
from immutable_servers.verification.runner import run_checks

CHECKS_DEADLINE = 15 * 60.0
"""Seconds that all checks together may take."""


def verify_fleet(
    place: Place, target: Target, props: Mapping[str, Any], report_dir: Path, say: Say
) -> Report:
    """Run the checks on every server of the candidate, then `before_traffic` on one of them.

    Without health or without a login no check runs: the report fails, with that as its reason. So
    it does when somebody logged in to a server, before the checks or while they ran: whatever these
    servers are now, it is not what was launched.

    Raises:
        StoppedError: This process was asked to stop, which is no verdict.
    """
    try:
        sick = wait_until_healthy(place, target.answers_within, say)
        if sick:
            return _describe_sick(place, target, sick)
        logins = target.access.open_logins(place.scope)
        used = _find_used(place, target)
        if used:
            return Report.of_used(used)
        report = _check(place, logins, props, report_dir, say)
        if report.ok:
            commands = props["before_traffic"]
            report = run_before_traffic(report, commands, logins[0], report_dir, say)
        used = _find_used(place, target) if report.ok else ()
        return Report.of_used(used) if used else report
    except StoppedError:
        raise
    except ImmutableError as error:
        return Report.failed(str(error))


def _describe_sick(place: Place, target: Target, sick: Sequence[Health]) -> Report:
    """Return the report of servers that do not answer, with their own words."""
    given_up = target.fleets.find_given_up(place.scope)
    lines = [f"{health.server}: {health.detail}" for health in sick]
    lines += [f"{server}: {why}" for server, why in given_up.items()]
    slow = (
        f"Where they only need longer, raise `boot_deadline` in immutable-servers:{place.target}."
    )
    reason = "\n".join([*lines, *target.fleets.find_trouble(place.scope)])
    return Report.failed(reason, todo="" if given_up else slow)


def _find_used(place: Place, target: Target) -> Sequence[str]:
    """Ask the servers who logged in, and this machine whether a login that it gave out was used."""
    noted = target.access.find_inspection(place.scope)
    return target.access.find_used(place.scope) or ([noted] if noted else ())


def verify_fresh_server(
    place: Place, target: Target, props: Mapping[str, Any], report_dir: Path, say: Say
) -> Report:
    """Run the checks on one new server of the same artifact, and remove the server.

    The generation's own servers are sealed by now, and stay sealed.

    Raises:
        StoppedError: This process was asked to stop, which is no verdict.
    """
    try:
        spec = FleetSpec(
            scope=place.scope,
            artifact=_find_artifact(target.images, props),
            launch=Launch.from_plain(props["launch"]),
            servers=1,
            record={},
        )
        with target.access.start_probe(spec, say) as login:
            return _check(place, [login], props, report_dir, say)
    except StoppedError:
        raise
    except ImmutableError as error:
        return Report.failed(str(error))


def _find_artifact(catalog: Images, props: Mapping[str, Any]) -> str:
    """Return the artifact's id; it may have been baked again since the generation's launch."""
    image, version = props["image"], props["images"][props["image"]]
    catalog.refuse_revoked("No server can be launched for the checks", props["images"])
    found = catalog.find(image, version, str(props.get("digest") or ""))
    if found is None:
        raise LaunchError(
            f"No server can be launched for the checks: {image} {version} is not in the catalog",
            todo="`./immutable replace` makes new servers from an image that is baked again; or"
            " revert the change of the checks.",
        )
    return found.id


def _check(
    place: Place, logins: Sequence[Login], props: Mapping[str, Any], report_dir: Path, say: Say
) -> Report:
    folders = [Path(folder) for folder in props["folders"]]
    common = _describe_expected(place, props)
    expected = {login.server: {**common, "server": login.server} for login in logins}
    return run_checks(
        folders,
        logins,
        expected,
        report_dir,
        project=Path.cwd(),
        planned=props.get("planned", ""),
        environment=props.get("checks_env", ()),
        deadline=CHECKS_DEADLINE,
        say=say,
    )


def _describe_expected(place: Place, props: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the checks may compare a server with."""
    launch = restore_numbers(props["launch"])
    parents = dict(props["images"])
    return {
        "image": props["image"],
        "version": parents.pop(props["image"]),
        "parents": parents,
        "service": place.scope.service,
        "generation": place.scope.generation,
        "port": launch["port"],
        "health": launch["health"],
        "env": launch["env"],
    }


MOST_SERVERS = 3
"""Number of servers that are described; the others most likely failed in the same way."""


def describe_inspection(place: Place, target: Target, report: Report) -> list[str]:
    """Return lines that name the login command, until when it works, and the console log."""
    try:
        return list(_describe(place, target, report))
    except (ImmutableError, OSError):
        return []  # a hint must not hide what failed


def _describe(place: Place, target: Target, report: Report) -> Iterator[str]:
    bad = [server.server for server in report.servers if not server.ok]
    names = bad or [server.name for server in target.fleets.find_servers(place.scope)]
    logins = {login.server: login.command for login in target.access.describe_logins(place.scope)}
    consoles = target.fleets.find_consoles(place.scope)
    fleet = target.fleets.find(place.scope).get(place.scope.generation)
    ends = int(fleet.record.get("window_ends") or 0) if fleet else 0
    until = time.strftime("%H:%M UTC", time.gmtime(ends))
    for name in names[:MOST_SERVERS]:
        if logins.get(name) and ends > time.time():
            yield f"{name}: log in until {until}: {logins[name]}"
        if name in consoles:
            yield f"{name}: console log: {consoles[name]}"
