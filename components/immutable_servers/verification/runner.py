"""Runs the checks with pytest and testinfra: one process for each server, side by side."""

import shutil
import time
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from immutable_servers.contract.values import Login, Say
from immutable_servers.errors import ImmutableError, StoppedError, VerificationError
from immutable_servers.identity.checks import digest_checks
from immutable_servers.system.supervised import DeadlineError, run_supervised
from immutable_servers.system.supervisor import find_parts, redact
from immutable_servers.verification.follower import Follower
from immutable_servers.verification.junit import (
    find_assertion,
    read_result,
    read_suite,
    write_merged,
)
from immutable_servers.verification.pytest_process import (
    GRACE,
    Job,
    make_command,
    make_environment,
    make_scratch,
)
from immutable_servers.verification.report import Failure, Report, ServerResult, count

__all__ = ["MOST_SERVERS", "Failure", "Report", "ServerResult", "digest_checks", "run_checks"]


MOST_SERVERS = 20
"""So many servers are checked side by side; of more, a sample of so many."""

NOTHING_COLLECTED = 5
"""https://docs.pytest.org/en/stable/reference/exit-codes.html"""

RUN = "(run)"
"""Stands for the check when it is the run itself that failed."""


def run_checks(
    checks: Sequence[Path],
    logins: Sequence[Login],
    expected: Mapping[str, Mapping[str, Any]],
    report_dir: Path,
    *,
    deadline: float,
    say: Say,
    secret_values: Sequence[str] = (),
) -> Report:
    """Run the checks on every server, or on a sample of 20, and report.

    The user's own pytest settings and plugins have no part in it; a `conftest.py` beside the checks
    has.

    Args:
        checks: Folders or files of checks.
        logins: How to reach each server.
        expected: By server name, what the fixture `expected` returns.
        report_dir: Gets `junit.xml` and a log for each server.
        deadline: Seconds that all may take.
        say: Takes results as they come, and a line for each server that is done.
        secret_values: Replaced by `[secret]` in logs, messages and the JUnit file.

    Raises:
        VerificationError: There are no checks at the places named.
        StoppedError: This process was told to stop.
    """
    _refuse_missing(checks)
    began = time.monotonic()
    report_dir.mkdir(parents=True, exist_ok=True)
    sample = _take_sample(logins, say)
    with _start_folder(report_dir / "run") as folder:
        jobs = [
            Job(
                login=login,
                checks=tuple(path.resolve() for path in checks),
                expected=expected.get(login.server, {}),
                folder=folder,
                log=report_dir / f"{login.server}.log",
                ends=began + deadline,
                deadline=deadline,
                secrets=tuple(secret_values),
            )
            for login in sample
        ]
        pairs = _run_all(jobs, say)
    junit = report_dir / "junit.xml"
    write_merged({result.server: suite for result, suite in pairs if suite is not None}, junit)
    return Report.of(
        [result for result, _ in pairs],
        seconds=time.monotonic() - began,
        junit=str(junit),
        total=len(logins),
    )


@contextmanager
def _start_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty private folder, also after a run that was killed; it goes at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_missing(checks: Sequence[Path]) -> None:
    missing = [str(path) for path in checks if not path.exists()]
    if missing or not checks:
        raise VerificationError(
            "There are no checks to run",
            facts=[f"{path} does not exist" for path in missing] or ["No folder is named."],
            todo="Correct `checks` of the service in the stack file.",
        )


def _take_sample(logins: Sequence[Login], say: Say) -> Sequence[Login]:
    """Return all servers, or 20 of them from first to last."""
    if len(logins) <= MOST_SERVERS:
        return logins
    say(f"checks a sample of {MOST_SERVERS} of {len(logins)} servers")
    return [logins[at * len(logins) // MOST_SERVERS] for at in range(MOST_SERVERS)]


def _run_all(jobs: Sequence[Job], say: Say) -> list[tuple[ServerResult, ET.Element | None]]:
    def run(job: Job) -> tuple[ServerResult, ET.Element | None]:
        result, suite = _run_one(job, say)
        say(
            f"{result.server}: {result.passed} passed, {result.failed} failed, "
            f"{result.skipped} skipped"
        )
        return result, suite

    with ThreadPoolExecutor(max(len(jobs), 1)) as pool:
        return list(pool.map(run, jobs))


def _run_one(job: Job, say: Say) -> tuple[ServerResult, ET.Element | None]:
    lines: deque[str] = deque(maxlen=400)
    job.log.unlink(missing_ok=True)
    code, trouble = -1, ""
    scratch = make_scratch()
    try:
        code = run_supervised(
            make_command(job, scratch),
            cwd=job.folder,
            env=make_environment(job),
            deadline=max(job.ends - time.monotonic(), 0),
            on_line=Follower(job.login.server, lines, say),
            log=job.log,
            secrets=job.secrets,
            what=f"the checks of {job.login.server}",
            grace=GRACE,
            scratch=scratch,
        )
    except DeadlineError:
        last = lines[-1] if lines else "nothing"
        trouble = (
            f"the checks did not end within {job.deadline:.0f} s; last: {last}\nLog: {job.log}"
        )
    except StoppedError:
        raise
    except ImmutableError as error:
        trouble = str(error)
    return _read(job, code, trouble, list(lines))


def _read(
    job: Job, code: int, trouble: str, lines: list[str]
) -> tuple[ServerResult, ET.Element | None]:
    """Read what pytest wrote, and see to it that no run without a passed check counts as good."""
    parts = find_parts(job.secrets)
    suite = read_suite(job.junit, lambda text: redact(text.encode(), parts).decode())
    result = ServerResult(server=job.login.server)
    if suite is not None:
        result = read_result(job.login.server, _name_host(job.login.host), suite)
    trouble = trouble or _find_trouble(job, code, result, lines)
    if trouble:
        result = replace(result, failures=(*result.failures, Failure(RUN, trouble)))
    return result, suite


def _name_host(host: str) -> str:
    """Return the name that testinfra gives a host in a test's name."""
    parts = urlsplit(host)
    name = parts.netloc.rpartition("@")[2].partition(":")[0]
    return f"{parts.scheme}://{name}" if name else parts.scheme


def _find_trouble(job: Job, code: int, result: ServerResult, lines: list[str]) -> str:
    if code == NOTHING_COLLECTED or (code == 0 and not result.passed and not result.skipped):
        return "no check was collected"
    if code == 0 and not result.passed:
        return f"all checks were skipped ({count(result.skipped, 'check')}), so nothing is proved"
    if code != 0 and not result.failed:
        said = find_assertion(lines) or "\n".join([line for line in lines if line.strip()][-5:])
        return f"pytest ended with exit code {code}: {said}\nLog: {job.log}"
    return ""
