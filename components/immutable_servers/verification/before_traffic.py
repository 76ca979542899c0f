"""Runs a service's `before_traffic` commands on one verified server, as a last check of it.

They use testinfra's login, each in a process of its own, all under one deadline. As a program, this
module runs one command and passes on its output and its exit code.
"""

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.values import Login, Say
from immutable_servers.system.supervised import DeadlineError, run_supervised
from immutable_servers.verification.pytest_process import (
    GRACE,
    make_clean_environment,
    make_scratch,
    write_ssh_config,
)
from immutable_servers.verification.report import Failure, Report, ServerResult
from immutable_servers.verification.results import explain_line

NAME = "before_traffic"
DEADLINE = 10 * 60.0
"""Seconds that all commands together may take: the login window is open for 30 min."""
LAST_LINES = 6
"""Number of lines that a failure shows of the command's output; the log has all."""


def run_before_traffic(
    report: Report, commands: Sequence[str], login: Login, report_dir: Path, say: Say
) -> Report:
    """Run the commands until one fails; return the report, with that failure added."""
    log = report_dir / f"{NAME}.log"
    log.unlink(missing_ok=True)
    ends = time.monotonic() + DEADLINE
    for command in commands:
        say(f"{NAME} on {login.server}: {command}")
        trouble = _run(command, login, log, ends)
        if trouble:
            failure = Failure(NAME, f"`{command}`: {trouble}\nLog: {log}")
            servers = [_add(result, login, failure) for result in report.servers]
            return Report.of(
                servers, seconds=report.seconds, junit=report.junit, total=report.total
            )
    return report


def _add(result: ServerResult, login: Login, failure: Failure) -> ServerResult:
    if result.server != login.server:
        return result
    return replace(result, failed=1, failures=(failure,))


def _run(command: str, login: Login, log: Path, ends: float) -> str:
    """Run one command; return why it failed, empty when it did not."""
    lines: deque[str] = deque(maxlen=LAST_LINES)
    scratch = make_scratch()
    config = log.with_suffix(".ssh")
    try:
        write_ssh_config(config, login, scratch)
        code = run_supervised(
            [sys.executable, "-m", __name__, login.host, str(config), command],
            cwd=log.parent,
            env=make_clean_environment(Path.cwd(), *login.environment),
            deadline=max(ends - time.monotonic(), 0),
            on_line=lines.append,
            log=log,
            what=f"`{command}`",
            grace=GRACE,
            scratch=scratch,
        )
    except DeadlineError as error:
        return error.what
    finally:
        config.unlink(missing_ok=True)
    return "" if code == 0 else "\n".join([f"exit code {code}", *map(explain_line, lines)])


def main() -> int:
    """Run the command of the command line on its host."""
    import testinfra  # type: ignore[import-untyped]  # noqa: PLC0415 - the provider does without

    host, ssh_config, command = sys.argv[1:]
    try:
        done = testinfra.get_host(host, ssh_config=ssh_config).run(command)
    except RuntimeError as error:  # ssh itself failed
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(done.stdout + done.stderr)
    return int(done.rc)


if __name__ == "__main__":
    sys.exit(main())
