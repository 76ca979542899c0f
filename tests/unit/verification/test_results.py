"""The lines of results, whole and damaged."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.verification.results import ResultReader


def make_lines(*names: str, ended: int | None = 0) -> Sequence[bytes]:
    """Return the lines of a session in which the named checks passed."""
    results = [
        {
            "nodeid": f"test_app.py::{name}[ssh://web-0]",
            "when": "call",
            "outcome": "passed",
            "seconds": 0.1,
            "text": "",
            "repeated": 0,
        }
        for name in names
    ]
    end = [] if ended is None else [{"ended": ended}]
    lines = [{"collected": len(names)}, *results, *end]
    return [json.dumps(line).encode() + b"\n" for line in lines]


@pytest.fixture
def reader(tmp_path: Path) -> ResultReader:
    """Read a file that nothing was written to yet."""
    login = Login("web-0", "ssh://admin@web-0:22")
    return ResultReader(tmp_path / "web-0.jsonl", login, str, lambda _: None)


def test_whole(reader: ResultReader) -> None:
    """A session that ended, with a result for each check, is complete."""
    reader.path.write_bytes(b"".join(make_lines("test_a", "test_b")))
    reader.read_new()
    assert reader.complete
    assert reader.count().passed == 2
    assert [result.check for result in reader.results] == ["test_app.test_a", "test_app.test_b"]


def test_nothing_written(reader: ResultReader) -> None:
    """Without its file a run is not complete."""
    reader.read_new()
    assert not reader.complete


def test_written_piece_by_piece(reader: ResultReader) -> None:
    """A line that is still being written is read once it is whole."""
    text = b"".join(make_lines("test_a", "test_b"))
    for at in range(0, len(text), 7):
        with reader.path.open("ab") as file:
            file.write(text[at : at + 7])
        reader.read_new()
    assert (reader.complete, reader.count().passed) == (True, 2)


first, second, third, end = make_lines("test_a", "test_b")


@pytest.mark.parametrize(
    "lines",
    [
        make_lines("test_a", "test_b", ended=None),
        [first, second, third, end[:-1]],
        [first, second, third[:20], end],
        [first, second, b"\n", third, end],
        [first, second, b"[]\n", third, end],
        [first, second, b'{"nodeid": "test_app.py::test_c"}\n', third, end],
        [first, second, b"\xff\xff\n", third, end],
        [first, second, end],
        [first, second, second, end],
        [second, third, end],
    ],
    ids=[
        "without the end",
        "cut in the end",
        "cut in a result",
        "an empty line",
        "no object",
        "fields are missing",
        "no UTF-8",
        "a result is missing",
        "a result twice instead of another",
        "without the count",
    ],
)
def test_damaged(reader: ResultReader, lines: Sequence[bytes]) -> None:
    """A line that is missing, cut or strange makes the results incomplete."""
    reader.path.write_bytes(b"".join(lines))
    reader.read_new()
    assert not reader.complete
