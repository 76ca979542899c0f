"""`Verification <generation>`: runs the checks and records the verdict instead of raising.

A recorded failure leaves the other services alone, and lets the ledger be saved. `Verdict` fails
the run, and the next one verifies again.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pulumi import Input, Output, ResourceOptions

from immutable_servers.system.places import reports_dir
from immutable_servers.targets.place import Place
from immutable_servers.targets.placed import PlacedProvider, PlacedResource, Site
from immutable_servers.targets.questions import find_launch, was_launched_again
from immutable_servers.verification.candidate import (
    describe_inspection,
    verify_fleet,
    verify_fresh_server,
)
from immutable_servers.verification.report import Report, count

PASSED = "passed"
FAILED = "failed"


class VerificationProvider(PlacedProvider):
    """Runs the checks on the fleet once, and later on one fresh server when they change."""

    phase = "verify"
    updates = ("checks",)
    needs = ("retirement", "artifact")

    def _find_drift(
        self, site: Site, olds: Mapping[str, Any], news: Mapping[str, Any]
    ) -> Sequence[str]:
        """Run a recorded failure again, and a verdict on servers that are gone."""
        passed = olds.get("verdict") == PASSED and not _has_new_servers(site, olds, news)
        return () if passed else ("verdict",)

    def _create(self, site: Site, props: dict[str, Any]) -> dict[str, Any]:
        """Verify the candidate's own servers.

        A generation that was verified is sealed: where the state lost this resource, a fresh server
        is verified.
        """
        return _run(site, props, on_fleet=props.get("verified_by") is None)

    def _update(self, site: Site, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        """Verify again: the fleet while it was never verified, else one fresh server.

        What passed these checks before has still passed when others were tried on it meanwhile.
        """
        if news.get("verified_by") == news["checks"]:
            kept = {"failures": [], "inspection": [], "verified_launch": find_launch(site.place)}
            return {**olds, **news, **_pass(site), **kept}
        on_fleet = not olds.get("verified_once") or _has_new_servers(site, olds, news)
        return _run(site, news, on_fleet=on_fleet)


def _has_new_servers(site: Site, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the fleet was launched again before a ledger knew that it was verified.

    The state knows of each launch, unless somebody imports an older one: then the target does.
    """
    if news.get("verified_by") is not None:
        return False
    return was_launched_again(
        olds.get("launched_at"), news.get("launched_at")
    ) or was_launched_again(olds.get("verified_launch"), find_launch(site.place))


def _run(site: Site, props: dict[str, Any], *, on_fleet: bool) -> dict[str, Any]:
    place, target, say = site.place, site.target, site.say
    report_dir = reports_dir(Path.cwd()) / f"{place.scope.stack}-{props['name']}"
    verify = verify_fleet if on_fleet else verify_fresh_server
    began = time.monotonic()
    # Asked before the checks: servers that are launched again meanwhile are then not the verified.
    launched_at = find_launch(place)
    report = verify(place, target, props, report_dir, say)
    failures = report.describe_failures()
    inspection = describe_inspection(place, target, report) if failures and on_fleet else []
    for line in list_progress(failures, report.summary()):
        say(line)
    return {
        **props,
        "verdict": FAILED,
        "passed_generation": "",
        **(_pass(site) if report.ok else {}),
        "verified_once": report.ok or not on_fleet,
        "verified_launch": launched_at,
        "seconds": round(time.monotonic() - began, 1),
        "failures": failures,
        "inspection": inspection,
        "todo": report.todo,
        "report": report.to_plain(),
        "inspected": "; ".join(report.used),
        "verified": _remember(report, props["before_traffic"] if on_fleet else None),
    }


def list_progress(failures: Sequence[str], summary: str) -> Sequence[str]:
    """Return the progress lines of a verdict: the first line of each failure, then the summary.

    The error at the end of the run has the failures in full. The summary comes last, since a row of
    the display shows the last line.
    """
    return tuple(dict.fromkeys(text.partition("\n")[0] for text in (*failures, summary)))


def _pass(site: Site) -> dict[str, Any]:
    return {"verdict": PASSED, "passed_generation": site.scope.generation}


def _remember(report: Report, commands: Sequence[str] | None) -> dict[str, str]:
    """Return what the ledger keeps of a good report; `commands` is None for a fresh server."""
    if not report.ok:
        return {}
    where = "a fresh server" if commands is None else "its servers"
    kept = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "how": f"{report.summary()} on {where}",
    }
    ran = f"{count(len(commands), 'command')} on {report.servers[0].server}" if commands else ""
    return {**kept, "before_traffic": ran} if ran else kept


class Verification(PlacedResource, module="immutable-servers", name="Verification"):
    """The verdict on one generation.

    Attributes:
        verdict: `passed` or `failed`.
        passed_generation: The generation's id, only when it passed; Traffic takes this.
        verified: When and how it passed; empty when it failed, or when nothing was run.
        failures: One line for each failed check, with its server and assertion.
        inspection: How to look at the servers after a failure.
        todo: What the reader may do about the failure; empty where it says all.
        verified_launch: Launch time of the servers that it looked at, in seconds since the epoch;
            0 where the target does not know.
        inspected: Who logged in to the servers; these never pass. Empty when nobody did.
    """

    verdict: Output[str]
    passed_generation: Output[str]
    verified: Output[dict[str, str]]
    failures: Output[list[str]]
    inspection: Output[list[str]]
    todo: Output[str]
    verified_launch: Output[int]
    inspected: Output[str]

    def __init__(
        self, name: str, place: Place, inputs: Mapping[str, Input[Any]], opts: ResourceOptions
    ) -> None:
        """Register under the generation's name.

        Args:
            name: The generation's name.
            place: The generation's place.
            inputs: `checks` (digest), `planned` (the digest of what a run executes), `folders`,
                `checks_env`, `before_traffic`, `image`, `images`, `digest` (of the image),
                `launch`, `artifact`, `retirement`, `launched_at` (of its servers, in seconds since
                the epoch), `verified_by` (the digest of the checks that it passed
                before this run, None when it never passed).
            opts: Must name the fleet as a dependency.
        """
        outputs = (
            "verdict",
            "passed_generation",
            "verified",
            "failures",
            "inspection",
            "todo",
            "verified_once",
            "verified_launch",
            "seconds",
            "report",
            "inspected",
        )
        every = {"name": name, **inputs}
        super().__init__(VerificationProvider(), name, place, every, outputs, opts)
