"""The lines of results, whole and damaged."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from immutable_servers.contract.values import Login
from immutable_servers.verification import results
from immutable_servers.verification.results import ResultReader


def make_lines(*names: str, ended: int | None = 0) -> Sequence[bytes]:
    """Return the lines of a session in which the named checks passed."""
    results: list[dict[str, object]] = [
        {
            "item": at,
            "nodeid": f"test_app.py::{name}[ssh://web-0]",
            "when": "call",
            "outcome": "passed",
            "seconds": 0.1,
            "text": "",
            "repeated": 0,
        }
        for at, name in enumerate(names, 1)
    ]
    ends: list[dict[str, object]] = [] if ended is None else [{"ended": ended}]
    lines: list[dict[str, object]] = [{"collected": len(names)}]
    for at, result in enumerate(results, 1):
        lines += [result, {"finished": at}]
    lines += ends
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


def test_too_much_written(reader: ResultReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without end is read to its bound, and its run is not complete."""
    text = b"".join(make_lines("test_a", "test_b"))
    monkeypatch.setattr(results, "MOST_BYTES", len(text))
    reader.path.write_bytes(text + b"x" * 1000)
    reader.read_new()
    reader.read_new()
    assert (reader.ran, reader.complete) == (2, False)


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


first, second, done, third, both, end = make_lines("test_a", "test_b")


@pytest.mark.parametrize(
    "lines",
    [
        make_lines("test_a", "test_b", ended=None),
        [first, second, done, third, both, end[:-1]],
        [first, second, done, third[:20], both, end],
        [first, second, done, b"\n", third, both, end],
        [first, second, done, b"[]\n", third, both, end],
        [first, second, done, b'{"nodeid": "test_app.py::test_c"}\n', third, both, end],
        [first, second, done, b"\xff\xff\n", third, both, end],
        [first, second, done, both, end],
        [first, second, done, second, both, end],
        [second, done, third, both, end],
        [first, second, done, third, end],
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
        "a check that did not end",
    ],
)
def test_damaged(reader: ResultReader, lines: Sequence[bytes]) -> None:
    """A line that is missing, cut or strange makes the results incomplete."""
    reader.path.write_bytes(b"".join(lines))
    reader.read_new()
    assert not reader.complete


def test_checks_of_one_name_are_not_one(reader: ResultReader) -> None:
    """A failed check is not taken for a passed one of the same name, nor the other way round."""
    lines = list(make_lines("test_a", "test_a"))
    lines[3] = lines[3].replace(b"passed", b"failed")
    reader.path.write_bytes(b"".join(lines))
    reader.read_new()
    assert reader.complete
    assert (reader.count().passed, reader.count().failed) == (1, 1)


def test_progress_names_the_parameters(tmp_path: Path) -> None:
    """Checks that differ in their parameters alone are told apart, whatever their length."""
    said: list[str] = []
    login = Login("web-0", "ssh://admin@web-0:22")
    reader = ResultReader(tmp_path / "web-0.jsonl", login, str, said.append)
    names = ("test_page[ssh://web-0-/books", f"test_page[ssh://web-0-{'x' * 2000}")
    lines = [line.replace(b'"passed"', b'"failed"') for line in make_lines(*names)]
    reader.path.write_bytes(b"".join(line.replace(b"[ssh://web-0]", b"]") for line in lines))
    reader.read_new()
    assert said[0] == "web-0: test_page[/books] failed, 50 % done"
    assert len(said[1]) < 200
