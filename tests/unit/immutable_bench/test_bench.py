"""`bench`: its table of measurements."""

import time
from pathlib import Path

import pytest

from immutable_bench import bench, table
from immutable_servers.errors import SettingsError


def test_bench_measures_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--only` runs one; an unknown name shows those there are."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  shop:target: local\n")
    monkeypatch.setattr(table, "MEASUREMENTS", {})
    monkeypatch.setattr(bench, "install_missing", lambda _parts, *, yes: yes)

    @table.measurement("quick", "under 1 s")
    def measure(_place: table.Place) -> table.Measured:
        return table.Measured(f"{time.monotonic() * 0:.0f} s", good=True)

    assert measure(table.Place(tmp_path, "dev")).good
    assert bench.run_bench(tmp_path, "dev", only="quick", yes=True) == 0
    shown = capsys.readouterr().out
    assert "under 1 s" in shown
    assert "yes" in shown
    with pytest.raises(SettingsError, match="Did you mean quick"):
        bench.run_bench(tmp_path, "dev", only="quik", yes=True)
