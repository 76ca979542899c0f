"""Which machine this is."""

import socket
from pathlib import Path

import pytest

from immutable_servers.system import machine
from immutable_servers.system.machine import find_machine

ID = "3d1219c7c4c5404aaa1f6d2a48adfda4"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that holds the id from now on; it is missing."""
    file = tmp_path / "machine-id"
    monkeypatch.setattr(machine, "FILES", (tmp_path / "missing", file))
    return file


def test_a_machine_keeps_its_id_and_shows_no_more_than_a_digest(file: Path) -> None:
    """The operating system's own id is nobody else's business (machine-id(5))."""
    file.write_text(f"{ID}\n")
    found = find_machine()
    assert found == find_machine()
    assert (len(found.id), found.host) == (12, socket.gethostname())
    assert found.id not in ID
    file.write_text(f"{ID[::-1]}\n")
    assert find_machine().id != found.id


@pytest.mark.parametrize("text", [None, "", "uninitialized\n", "0123\n"])
def test_a_machine_without_an_id_is_not_known(file: Path, text: str | None) -> None:
    """As in a container, or before a first boot: two of these are never taken for one."""
    if text is not None:
        file.write_text(text)
    assert find_machine().id == ""
