"""Lines of progress."""

import io

import pytest

from immutable_servers.contract.values import Scope
from immutable_servers.resources.progress import start_saying
from immutable_servers.verification.resource import list_progress


def test_each_line_of_a_text_names_phase_and_resource(capsys: pytest.CaptureFixture[str]) -> None:
    """The engine tells lines apart, and a row of the display takes only those of its work."""
    say = start_saying("verify", Scope("shop", "dev", "web", "3f2a9c41"))
    say("web-0: assert 'a' in 'b'\n+  where 'b' = run()")
    assert capsys.readouterr().out.splitlines() == [
        "verify web-3f2a9c41: web-0: assert 'a' in 'b'",
        "verify web-3f2a9c41: +  where 'b' = run()",
    ]


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are checked side by side: a line in two writes has another one in its middle."""
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stdout", Stream())
    start_saying("verify", Scope("shop", "dev", "web", "3f2a9c41"))("one\ntwo")
    assert [text for text in written if text] == [
        "verify web-3f2a9c41: one\n",
        "verify web-3f2a9c41: two\n",
    ]


def test_a_failure_is_told_in_one_line_and_the_sum_last() -> None:
    """Assertions and consoles have many lines; they stand once, in the error of the run."""
    console = "web-0: 502 Bad Gateway\nweb-0: its console ends:\n[1.0] app.service failed"
    assert list_progress([console, "web-0: console log: x"], console) == (
        "web-0: 502 Bad Gateway",
        "web-0: console log: x",
    )
    failed = "web-0: test_app.test_a: assert 1 == 2\n+  where 1 = one()"
    assert list_progress([failed], "1 check failed on web-0") == (
        "web-0: test_app.test_a: assert 1 == 2",
        "1 check failed on web-0",
    )
