"""The commands before traffic, on testinfra's local backend."""

from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.verification import before_traffic
from immutable_servers.verification.before_traffic import run_before_traffic
from immutable_servers.verification.report import Report, ServerResult

LOGIN = Login("web-3f2a9c41-0", "local://")
GOOD = Report.of(
    [ServerResult("web-3f2a9c41-0", passed=3), ServerResult("web-3f2a9c41-1", passed=3)],
    seconds=1,
    junit="junit.xml",
    total=2,
)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the scratch folder of a run out of the developer's own."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("PULUMI_CONFIG", "of the engine")
    monkeypatch.setenv("GITHUB_TOKEN", "of the runner")


def run(folder: Path, *commands: str) -> tuple[Report, list[str]]:
    """Run the commands and return the report, with what was said."""
    said: list[str] = []
    return run_before_traffic(GOOD, commands, LOGIN, folder, said.append), said


def test_without_commands_the_report_is_the_checks(tmp_path: Path) -> None:
    """Nothing runs, and nothing is said."""
    assert run(tmp_path) == (GOOD, [])


def test_each_command_is_a_shell_line_without_the_users_environment(tmp_path: Path) -> None:
    """Pipes and quotes mean what they mean in a shell; the log has what was printed."""
    report, said = run(tmp_path, "echo 'a  b' | tr a c", 'test -z "$PULUMI_CONFIG$GITHUB_TOKEN"')
    assert report == GOOD
    assert said[0] == "before_traffic on web-3f2a9c41-0: echo 'a  b' | tr a c"
    assert "c  b" in (tmp_path / "before_traffic.log").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["before_traffic.log"]


def test_the_first_failure_ends_it_and_shows_its_last_lines(tmp_path: Path) -> None:
    """The report fails for that server alone, with the command, its code and its last output."""
    report, said = run(tmp_path, "seq 20; echo no such table >&2; exit 7", "true")
    assert not report.ok
    assert report.reason == "1 check failed on web-3f2a9c41-0"
    (line,) = report.describe_failures()
    assert line.startswith("web-3f2a9c41-0: before_traffic: `seq 20;")
    assert "exit code 7\n16\n17\n18\n19\n20\nno such table" in line
    assert len(said) == 1
    assert report.servers[1].ok


def test_a_command_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is a failure with its reason."""
    monkeypatch.setattr(before_traffic, "DEADLINE", 1.0)
    report, _ = run(tmp_path, "sleep 600")
    assert "deadline" in report.describe_failures()[0]
