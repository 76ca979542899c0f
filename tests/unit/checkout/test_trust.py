"""The page that lists the walls names tests that exist."""

import re

import pytest

from harness.checkout import ROOT

PAGE = ROOT / "docs" / "explanation" / "trust.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
ROWS = [
    line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| could ")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:60])
def test_each_wall_has_a_proof(row: str) -> None:
    """A wall whose test was renamed or taken out is a claim."""
    *_, proofs = row.strip("| ").split(" | ")
    named = NAMED.findall(proofs)
    assert named
    for file, test in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test or 'test_'}" in text, f"{file}::{test}"
