"""The logs that runs of the engine leave."""

from pathlib import Path

import pytest

from immutable_servers.driver.engine import run


def test_previews_push_no_update_out_of_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each command on each stack the newest runs are kept, with what the engine said beside."""
    monkeypatch.setattr(run, "KEPT_RUNS", 2)
    folder = tmp_path / ".immutable" / "logs"
    folder.mkdir(parents=True)
    runs = ("1-1-up-dev", "2-1-preview-dev", "3-1-preview-dev", "4-1-preview-dev", "5-1-up-prod")
    for each in runs:
        for end in ("jsonl", "txt"):
            (folder / f"run-{each}.{end}").touch()
    log = run.make_log(tmp_path, "preview", "dev")
    assert log.parent == folder
    assert log.name.endswith("-preview-dev.jsonl")
    kept = {f"run-{each}.{end}" for each in runs for end in ("jsonl", "txt")}
    assert {file.name for file in folder.iterdir()} == kept - {
        "run-2-1-preview-dev.jsonl",
        "run-2-1-preview-dev.txt",
    }
    monkeypatch.setattr(run, "KEPT_IN_ALL", 1)
    run.make_log(tmp_path, "up", "dev")
    assert [file.name for file in folder.glob("*.jsonl")] == ["run-5-1-up-prod.jsonl"]
