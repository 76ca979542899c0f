"""Runs checks on testinfra's `local://` backend, with real pytest processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.verification.report import Report
from immutable_servers.verification.runner import run_checks

Check = Callable[..., Report]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's folders out of the tests."""
    for name in ("DATA_HOME", "CACHE_HOME", "RUNTIME_DIR"):
        monkeypatch.setenv(f"XDG_{name}", str(tmp_path))


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Write checks and run them on one local server, `web-0`, or on those named."""
    folder = tmp_path / "checks"
    folder.mkdir()

    def run(
        text: str,
        *,
        servers: tuple[str, ...] = ("web-0",),
        deadline: float = 60,
        secrets: tuple[str, ...] = (),
        planned: str = "",
        environment: tuple[str, ...] = (),
        said: list[str] | None = None,
    ) -> Report:
        (folder / "test_promise.py").write_text(text)
        return run_checks(
            [folder],
            [Login(server, "local://") for server in servers],
            {server: {"server": server, "port": 80} for server in servers},
            tmp_path / "report",
            project=tmp_path,
            planned=planned,
            environment=environment,
            deadline=deadline,
            say=(said if said is not None else []).append,
            secret_values=secrets,
        )

    return run
