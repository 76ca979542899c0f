"""What the console prints in a narrow terminal."""

from io import StringIO

import pytest

from immutable_servers.driver.terminal import console


@pytest.mark.parametrize("columns", [40, 120])
def test_a_narrow_terminal_gets_lines_instead_of_a_table(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 40 columns every cell can be read and copied as a whole; a wide terminal has a table."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    row = ("web", "http://127.0.0.1:8080", "app 0123456789ab, base 9876543210")
    console.show_table("", ("service", "address", "images"), [row], out)
    narrow = "web\n  address: http://127.0.0.1:8080\n  images: app 0123456789ab, base 9876543210\n"
    assert (out.getvalue() == narrow) is (columns == 40)
    assert all(cell in out.getvalue() for cell in row)
