"""Runs the checks with pytest and testinfra: one process for each server, side by side."""

import json
import os
import secrets
import shlex
import shutil
import sys
import time
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from immutable_servers.errors import ImmutableError, StoppedError, VerificationError
from immutable_servers.places import data_dir, runtime_dir
from immutable_servers.supervised import DeadlineError, run_supervised
from immutable_servers.supervisor import find_parts, redact
from immutable_servers.targets.values import Login, Say
from immutable_servers.verification.digest import digest_checks
from immutable_servers.verification.follower import Follower
from immutable_servers.verification.junit import (
    find_assertion,
    read_result,
    read_suite,
    write_merged,
)
from immutable_servers.verification.protocol import EXPECTED_VARIABLE
from immutable_servers.verification.report import Failure, Report, ServerResult, count

__all__ = ["MOST_SERVERS", "Failure", "Report", "ServerResult", "digest_checks", "run_checks"]

MOST_SERVERS = 20
"""So many servers are checked side by side; of more, a sample of so many."""
GRACE = 5.0
PLUGIN = "immutable_servers.verification.plugin"
PACKAGE_ROOT = Path(__file__).parents[2]
NOTHING_COLLECTED = 5
"""https://docs.pytest.org/en/stable/reference/exit-codes.html"""
RUN = "(run)"
"""Stands for the check when it is the run itself that failed."""


@dataclass(frozen=True)
class _Job:
    """One server's run.

    Attributes:
        folder: Private, for this run's files; removed by who made it.
        ends: On the monotonic clock.
    """

    login: Login
    checks: tuple[Path, ...]
    expected: Mapping[str, Any]
    folder: Path
    log: Path
    ends: float
    deadline: float
    secrets: tuple[str, ...]

    @property
    def junit(self) -> Path:
        return self.folder / f"{self.login.server}.xml"


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
            _Job(
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


def _run_all(jobs: Sequence[_Job], say: Say) -> list[tuple[ServerResult, ET.Element | None]]:
    def run(job: _Job) -> tuple[ServerResult, ET.Element | None]:
        result, suite = _run_one(job, say)
        say(
            f"{result.server}: {result.passed} passed, {result.failed} failed, "
            f"{result.skipped} skipped"
        )
        return result, suite

    with ThreadPoolExecutor(max(len(jobs), 1)) as pool:
        return list(pool.map(run, jobs))


def _run_one(job: _Job, say: Say) -> tuple[ServerResult, ET.Element | None]:
    lines: deque[str] = deque(maxlen=400)
    job.log.unlink(missing_ok=True)
    code, trouble = -1, ""
    scratch = make_scratch()
    try:
        code = run_supervised(
            _make_command(job, scratch),
            cwd=job.folder,
            env=_make_environment(job),
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


def _make_command(job: _Job, scratch: Path) -> list[str]:
    """Return pytest's command, apart from all settings of the user's."""
    common = os.path.commonpath([path if path.is_dir() else path.parent for path in job.checks])
    return [
        sys.executable,
        *("-m", "pytest", "-c", str(_write_settings(job)), "--rootdir", common),
        *("--confcutdir", common, "--import-mode=importlib", "--strict-markers"),
        *("-p", "testinfra.plugin", "-p", PLUGIN, "-p", "no:cacheprovider"),
        *("--tb=short", "--color=no", "-v", f"--junitxml={job.junit}"),
        *(f"--hosts={job.login.host}", f"--ssh-config={_configure_ssh(job, scratch)}"),
        *map(str, job.checks),
    ]


def make_scratch() -> Path:
    """Name a folder for one run; short, since it holds the socket of a shared SSH connection."""
    return runtime_dir(data_dir()) / f"checks-{secrets.token_hex(4)}"


def _configure_ssh(job: _Job, scratch: Path) -> Path:
    path = job.folder / f"{job.login.server}.ssh"
    write_ssh_config(path, job.login, scratch)
    return path


def write_ssh_config(path: Path, login: Login, scratch: Path) -> None:
    """Write the login's ssh settings with a socket for a shared connection.

    testinfra asks ssh for a master connection (`ControlPersist`), but its host specs have no word
    for the socket (testinfra 10.2, `backend/__init__.py`). It ends with the run's other processes.
    """
    lines = [f'ControlPath "{scratch}/ssh"']
    lines += [f'Include "{login.ssh_config}"'] if login.ssh_config else []
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _write_settings(job: _Job) -> Path:
    """Write pytest's settings: modules beside the checks can be imported by them."""
    folders = sorted({str(path if path.is_dir() else path.parent) for path in job.checks})
    path = job.folder / f"{job.login.server}.ini"
    path.write_text(f"[pytest]\npythonpath = {shlex.join(folders)}\n", encoding="utf-8")
    return path


def _make_environment(job: _Job) -> dict[str, str]:
    """Return a clean environment with pytest's plugins as they should be, and the expectations."""
    expected = job.folder / f"{job.login.server}.json"
    expected.write_text(json.dumps(job.expected), encoding="utf-8")
    return {
        **make_clean_environment(),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        EXPECTED_VARIABLE: str(expected),
    }


def make_clean_environment() -> dict[str, str]:
    """Return our environment without Pulumi's and pytest's, which finds this package."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "PYTEST_"))
    }
    paths = [str(PACKAGE_ROOT), *filter(None, [ours.get("PYTHONPATH")])]
    return {**ours, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(paths)}


def _read(
    job: _Job, code: int, trouble: str, lines: list[str]
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


def _find_trouble(job: _Job, code: int, result: ServerResult, lines: list[str]) -> str:
    if code == NOTHING_COLLECTED or (code == 0 and not result.passed and not result.skipped):
        return "no check was collected"
    if code == 0 and not result.passed:
        return f"all checks were skipped ({count(result.skipped, 'check')}), so nothing is proved"
    if code != 0 and not result.failed:
        said = find_assertion(lines) or "\n".join([line for line in lines if line.strip()][-5:])
        return f"pytest ended with exit code {code}: {said}\nLog: {job.log}"
    return ""
