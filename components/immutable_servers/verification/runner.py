"""Runs the checks with pytest and testinfra: one process for each server, side by side."""

import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from immutable_servers.contract.values import Login, Say
from immutable_servers.errors import ImmutableError, StoppedError, VerificationError
from immutable_servers.system.supervised import DeadlineError, run_supervised
from immutable_servers.system.supervisor import find_parts, redact
from immutable_servers.verification.junit import write_junit
from immutable_servers.verification.pytest_process import GRACE, Job, make_scratch
from immutable_servers.verification.report import Failure, Report, ServerResult, count
from immutable_servers.verification.results import CheckResult, ResultReader, find_assertion

__all__ = ["MOST_SERVERS", "Report", "run_checks"]

MOST_SERVERS = 20
"""Number of servers that are checked, side by side; of more servers a sample of that size is."""

NOTHING_COLLECTED = 5
"""https://docs.pytest.org/en/stable/reference/exit-codes.html"""

RUN = "(run)"
"""Stands for the check when it is the run itself that failed."""

KEPT_LINES = 400
"""Number of pytest's last lines that are searched for the reason when the run itself failed."""


class ServerRun(NamedTuple):
    """The result of one server, with each check's."""

    result: ServerResult
    checks: Sequence[CheckResult]


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

    The user's own pytest settings and plugins take no part in it, but a `conftest.py` beside the
    checks does.

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
        StoppedError: This process was asked to stop.
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
        runs = _run_all(jobs, say)
    junit = report_dir / "junit.xml"
    write_junit({run.result.server: run.checks for run in runs}, junit)
    return Report.of(
        [run.result for run in runs],
        seconds=time.monotonic() - began,
        junit=str(junit),
        total=len(logins),
    )


@contextmanager
def _start_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty private folder and remove it, also one that a killed run has left."""
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


def _run_all(jobs: Sequence[Job], say: Say) -> list[ServerRun]:
    def run(job: Job) -> ServerRun:
        done = _run_one(job, say)
        result = done.result
        say(
            f"{result.server}: {result.passed} passed, {result.failed} failed, "
            f"{result.skipped} skipped"
        )
        return done

    with ThreadPoolExecutor(max(len(jobs), 1)) as pool:
        return list(pool.map(run, jobs))


def _run_one(job: Job, say: Say) -> ServerRun:
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    parts = find_parts(job.secrets)
    reader = ResultReader(
        job.results, job.login, lambda text: redact(text.encode(), parts).decode(), say
    )
    job.log.unlink(missing_ok=True)
    code, trouble = -1, ""
    scratch = make_scratch()
    try:
        code = run_supervised(
            job.make_command(scratch),
            cwd=job.folder,
            env=job.make_environment(),
            deadline=max(job.ends - time.monotonic(), 0),
            on_line=lines.append,
            log=job.log,
            secrets=job.secrets,
            what=f"the checks of {job.login.server}",
            grace=GRACE,
            scratch=scratch,
            watch=reader.read_new,
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
    reader.read_new()
    result = reader.count()
    trouble = trouble or _find_trouble(job, code, reader, result, lines)
    if not trouble:
        return ServerRun(result, reader.results)
    failed = CheckResult(RUN, "run", "error", seconds=0, text=trouble, repeated=0)
    result = replace(result, failures=(*result.failures, Failure(RUN, trouble)))
    return ServerRun(result, [*reader.results, failed])


def _find_trouble(
    job: Job, code: int, reader: ResultReader, result: ServerResult, lines: Iterable[str]
) -> str:
    """Return why the run itself is not to be trusted, empty when it is.

    The exit code alone proves nothing: a check can end the process with 0 before the others ran.
    """
    died = code != reader.ended
    if code != 0 and (died or not result.failed) and code != NOTHING_COLLECTED:
        said = find_assertion(lines) or "\n".join([line for line in lines if line.strip()][-5:])
        return f"pytest ended with exit code {code}: {said}\nLog: {job.log}"
    if died or (code == 0 and not reader.complete):
        return (
            f"pytest ended with exit code {code}, but its results are not complete: "
            f"{_describe_gap(reader)}\nLog: {job.log}"
        )
    if code == NOTHING_COLLECTED or (code == 0 and not result.passed and not result.skipped):
        return "no check was collected"
    if code == 0 and not result.passed:
        return f"all checks were skipped ({count(result.skipped, 'check')}), so nothing is proved"
    return ""


def _describe_gap(reader: ResultReader) -> str:
    if reader.cut:
        return "a line of them cannot be read"
    if reader.collected is None:
        return "it reported no collected check"
    end = "did not end" if reader.ended is None else f"ended with {reader.ended}"
    return f"{reader.ran} of {count(reader.collected, 'check')} ran, and its session {end}"
