"""What is missing is listed, asked for once, and installed."""

import re

import pytest

from immutable_servers.driver.setup import (
    install,
)
from immutable_servers.driver.setup.parts import Found, Part
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SetupError


def make_part(name: str, done: list[str], package: str = "") -> Part:
    """Return a part that is missing until it is installed."""

    def put(_say: object) -> None:
        done.append(name)

    return Part(
        name=name,
        size="3 MB",
        seconds=90,
        find=lambda: Found("1", f"/{name}") if name in done else None,
        fix=f"get {name}",
        install=None if package else put,
        package=package,
    )


def test_what_is_missing_is_listed_first_and_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Size and time come before the first installation; packages go to apt together."""
    done: list[str] = ["there"]
    asked: list[list[str]] = []

    def apt(names: list[str], _say: object) -> None:
        asked.append(list(names))
        done.extend(names)

    monkeypatch.setattr(install, "install_packages", apt)
    parts = [
        make_part("there", done),
        make_part("tool", done),
        make_part("one", done, "one"),
        make_part("two", done, "two"),
    ]
    install.install_missing(parts, yes=False)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("Missing")
    assert [line.split()[0] for line in said[1:4]] == ["tool", "one", "two"]
    assert re.search(r"3 MB +up to 1 min 30 s", said[1])
    assert asked == [["one", "two"]]
    assert set(done) == {"there", "tool", "one", "two"}
    install.install_missing(parts, yes=False)
    assert capsys.readouterr().err == ""


def test_a_no_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal it waits for a yes; a no ends with how to do it by hand."""
    done: list[str] = []
    monkeypatch.setattr(console, "is_interactive", lambda: True)
    monkeypatch.setattr(console, "ask", lambda _question: False)
    with pytest.raises(SetupError, match="get tool"):
        install.install_missing([make_part("tool", done)], yes=False)
    assert done == []
