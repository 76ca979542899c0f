"""Collects checks without a server, as verification would: what cannot be imported fails here."""

import time
from collections.abc import Sequence
from pathlib import Path

from immutable_servers.contract.values import Login
from immutable_servers.errors import VerificationError
from immutable_servers.system.supervised import run_supervised
from immutable_servers.verification.pytest_process import GRACE, Job, make_scratch
from immutable_servers.verification.results import Share
from immutable_servers.verification.staging import stage_checks, start_run_folder

NOWHERE = Login("nowhere", "local://")
"""Stands for the server: collecting asks nothing of one."""
DEADLINE = 120.0
NOTHING_COLLECTED = 5
"""https://docs.pytest.org/en/stable/reference/exit-codes.html"""
SHOWN_LINES = 40


def collect_checks(checks: Sequence[Path], report_dir: Path, *, project: Path) -> None:
    """Collect a copy of the checks.

    Args:
        checks: Folders or files of checks.
        report_dir: Gets pytest's log.
        project: The root that the checks lie below.

    Raises:
        VerificationError: There are none, or pytest cannot collect one of them.
    """
    log, ends = report_dir / "collected.log", time.monotonic() + DEADLINE
    lines: list[str] = []
    with start_run_folder(report_dir) as folder:
        log.unlink(missing_ok=True)
        staged = stage_checks(checks, project, folder / "checks")
        groups = staged.make_groups()
        codes = {
            _collect(
                Job(
                    login=NOWHERE,
                    checks=staged,
                    group=group,
                    share=Share(at, len(groups)),
                    expected={},
                    folder=folder,
                    log=log,
                    ends=ends,
                    deadline=DEADLINE,
                    secrets=(),
                    environment=(),
                ),
                lines,
            )
            for at, group in enumerate(groups)
        }
    if not codes <= {0, NOTHING_COLLECTED} or 0 not in codes:
        named = ", ".join(str(path.relative_to(project)) for path in checks)
        raise VerificationError(
            f"The checks in {named} cannot be collected",
            facts=[line for line in lines if line.strip()][-SHOWN_LINES:],
            todo="Correct what pytest names, then run the same command again.",
        )


def _collect(job: Job, lines: list[str]) -> int:
    """Let pytest collect a group, and return its exit code."""
    scratch = make_scratch()
    return run_supervised(
        [*job.make_command(scratch), "--collect-only", "--quiet"],
        cwd=job.checks.top,
        env=job.make_environment(),
        deadline=max(job.ends - time.monotonic(), 0),
        on_line=lambda line: lines.append(job.checks.name_places(line)),
        log=job.log,
        what="the checks to be collected",
        grace=GRACE,
        scratch=scratch,
    )
