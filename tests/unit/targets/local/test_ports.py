"""Ports of 127.0.0.1, reserved between runs."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from immutable_servers.errors import LaunchError
from immutable_servers.targets.local.ports import (
    find_left_ports,
    find_listener,
    is_free,
    release_port,
    reserve_port,
)

BOUNDS = (23000, 23400)


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def _make_owner(tmp_path: Path, name: str) -> Path:
    owner = tmp_path / name
    owner.mkdir()
    return owner


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    """Owners that reserve side by side get ports of their own, before anybody listens on them."""
    owners = [_make_owner(tmp_path, f"owner-{number}") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        ports = list(pool.map(lambda owner: reserve_port(owner, BOUNDS), owners))
    assert len(set(ports)) == len(owners)


def test_a_port_in_use_is_passed_over(tmp_path: Path) -> None:
    """A port that somebody listens on is not given, though nobody reserved it."""
    owner = _make_owner(tmp_path, "owner")
    first = reserve_port(owner, BOUNDS)
    release_port(first, owner)
    with socket.create_server(("127.0.0.1", first)):
        assert not is_free(first)
        assert reserve_port(owner, BOUNDS) != first


def test_a_port_is_released_only_by_its_owner(tmp_path: Path) -> None:
    """An owner cannot give away what is another's."""
    owner, other = _make_owner(tmp_path, "owner"), _make_owner(tmp_path, "other")
    port = reserve_port(owner, BOUNDS)
    release_port(port, other)
    assert reserve_port(other, BOUNDS) != port
    release_port(port, owner)
    assert reserve_port(other, BOUNDS) == port


def test_a_reservation_that_was_never_written_holds_nothing(tmp_path: Path) -> None:
    """On a full disk, say: it is left over, and the port is given to the next who asks."""
    owner = _make_owner(tmp_path, "owner")
    port = reserve_port(owner, BOUNDS)
    file = tmp_path / "data/immutable-servers/ports" / str(port)
    file.write_text("")
    assert find_left_ports() == [file]
    assert reserve_port(owner, BOUNDS) == port
    assert find_left_ports() == []


def test_a_port_of_a_removed_owner_is_free_again(tmp_path: Path) -> None:
    """A folder that was removed by hand holds no port."""
    owner, other = _make_owner(tmp_path, "owner"), _make_owner(tmp_path, "other")
    port = reserve_port(owner, BOUNDS)
    owner.rmdir()
    assert reserve_port(other, BOUNDS) == port


def test_a_full_range_is_an_error(tmp_path: Path) -> None:
    """The error names the range and the setting."""
    owner = _make_owner(tmp_path, "owner")
    port = reserve_port(owner, BOUNDS)
    with pytest.raises(LaunchError, match=rf"{port} to {port}[\s\S]*port_range"):
        reserve_port(owner, (port, port))


def test_who_listens_is_named() -> None:
    """The process that has a port is named by its pid."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert find_listener(server.getsockname()[1]).startswith(f"pid {os.getpid()} (")
