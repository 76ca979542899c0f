"""Runs the checks with pytest and testinfra: servers side by side, a process for each folder."""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from immutable_servers.contract.values import Login, Say
from immutable_servers.errors import ImmutableError, StoppedError
from immutable_servers.system.supervised import DeadlineError, run_supervised
from immutable_servers.system.supervisor import find_parts, redact
from immutable_servers.verification.junit import write_junit
from immutable_servers.verification.pytest_process import GRACE, Job, make_scratch
from immutable_servers.verification.report import Failure, Report, ServerResult, count
from immutable_servers.verification.results import (
    CheckResult,
    ResultReader,
    Share,
    find_assertion,
)
from immutable_servers.verification.staging import stage_checks, start_run_folder

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
    """The result of one server, or of a part of its checks, with each check's."""

    result: ServerResult
    checks: Sequence[CheckResult]


def run_checks(
    checks: Sequence[Path],
    logins: Sequence[Login],
    expected: Mapping[str, Mapping[str, Any]],
    report_dir: Path,
    *,
    project: Path,
    deadline: float,
    say: Say,
    planned: str = "",
    environment: Sequence[str] = (),
    secret_values: Sequence[str] = (),
) -> Report:
    """Run a copy of the checks on every server, or on a sample of 20, and report.

    The user's own pytest settings and plugins take no part in it, but a `conftest.py` beside the
    checks does.

    Args:
        checks: Folders or files of checks.
        logins: How to reach each server.
        expected: By server name, what the fixture `expected` returns.
        report_dir: Gets `junit.xml` and a log for each server.
        project: The root that the checks lie below.
        deadline: Seconds that all may take.
        say: Takes results as they come, and a line for each server that is done.
        planned: The digest that the plan had of the checks; empty compares nothing.
        environment: Names of variables that the checks may see beside the common ones.
        secret_values: Replaced by `[secret]` in logs, messages and the JUnit file.

    Raises:
        VerificationError: There are no checks at the places named, or not those of the plan.
        StoppedError: This process was asked to stop.
    """
    began = time.monotonic()
    report_dir.mkdir(parents=True, exist_ok=True)
    sample = _take_sample(logins, say)
    with start_run_folder(report_dir) as folder:
        staged = stage_checks(checks, project, folder / "checks", planned)
        groups = staged.make_groups()
        jobs = [
            Job(
                login=login,
                checks=staged,
                group=group,
                share=Share(at, len(groups)),
                expected=expected.get(login.server, {}),
                folder=folder,
                log=report_dir / f"{login.server}.log",
                ends=began + deadline,
                deadline=deadline,
                secrets=tuple(secret_values),
                environment=tuple(environment),
            )
            for login in sample
            for at, group in enumerate(groups)
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


def _take_sample(logins: Sequence[Login], say: Say) -> Sequence[Login]:
    """Return all servers, or 20 of them from first to last."""
    if len(logins) <= MOST_SERVERS:
        return logins
    say(f"checks a sample of {MOST_SERVERS} of {len(logins)} servers")
    return [logins[at * len(logins) // MOST_SERVERS] for at in range(MOST_SERVERS)]


def _run_all(jobs: Sequence[Job], say: Say) -> list[ServerRun]:
    """Run the jobs of all servers side by side, those of one server one after the other."""
    by_server = [list(found) for _, found in groupby(jobs, lambda job: job.login.server)]

    def run(jobs: Sequence[Job]) -> ServerRun:
        jobs[0].log.unlink(missing_ok=True)
        done = _join([_run_one(job, say) for job in jobs])
        result = done.result
        say(
            f"{result.server}: {result.passed} passed, {result.failed} failed, "
            f"{result.skipped} skipped"
        )
        return done

    with ThreadPoolExecutor(max(len(by_server), 1)) as pool:
        return list(pool.map(run, by_server))


def _join(runs: Sequence[ServerRun]) -> ServerRun:
    """Return what all runs on one server found; a server on which no check passed has failed."""
    done = runs[0]
    for run in runs[1:]:
        done = ServerRun(done.result.add(run.result), [*done.checks, *run.checks])
    result = done.result
    if result.ok or result.failures:
        return done
    if not any(check.item for check in done.checks):
        return _fail(done, "no check was collected")
    skipped = count(result.skipped, "check")
    return _fail(done, f"all checks were skipped ({skipped}), so nothing is proved")


def _fail(run: ServerRun, trouble: str) -> ServerRun:
    """Add what makes the run itself one that is not to be trusted."""
    failed = CheckResult(RUN, "run", "error", seconds=0, text=trouble, repeated=0)
    result = replace(run.result, failures=(*run.result.failures, Failure(RUN, trouble)))
    return ServerRun(result, [*run.checks, failed])


def _run_one(job: Job, say: Say) -> ServerRun:
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    parts = find_parts(job.secrets)

    def clean(text: str) -> str:
        return job.checks.name_places(redact(text.encode(), parts).decode())

    reader = ResultReader(job.results, job.login, clean, say, job.share)
    code, trouble = -1, ""
    scratch = make_scratch()
    try:
        code = run_supervised(
            job.make_command(scratch),
            cwd=job.checks.top,
            env=job.make_environment(),
            deadline=max(job.ends - time.monotonic(), 0),
            on_line=lambda line: lines.append(job.checks.name_places(line)),
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
    run = ServerRun(_explain(reader.count(), job), reader.results)
    trouble = job.checks.explain(trouble or _find_trouble(job, code, reader, run.result, lines))
    return _fail(run, trouble) if trouble else run


def _explain(result: ServerResult, job: Job) -> ServerResult:
    failures = result.failures
    explained = (Failure(one.check, job.checks.explain(one.message)) for one in failures)
    return replace(result, failures=tuple(explained))


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
    return ""


def _describe_gap(reader: ResultReader) -> str:
    if reader.cut:
        return "a line of them cannot be read"
    if reader.collected is None:
        return "it reported no collected check"
    end = "did not end" if reader.ended is None else f"ended with {reader.ended}"
    return f"{reader.finished} of {count(reader.collected, 'check')} ran, and its session {end}"
