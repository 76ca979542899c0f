"""Where things live: short enough for the sockets in it."""

from pathlib import Path

import pytest

from immutable_servers.system import places

LONGEST = 107
"""Bytes of a Unix socket's path (unix(7))."""
SSH_NAME = 40
"""Bytes of the name of a shared SSH connection (`%C`, ssh_config(5))."""
SSH_MAKES = 17
"""What ssh puts behind it while it makes the socket."""


def test_a_shared_ssh_connection_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a user's usual runtime folder, and below /tmp, ssh can make its socket."""
    runtime = tmp_path / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    below = len(str(places.runtime_dir(tmp_path))) - len(str(runtime))
    assert len("/run/user/1000000") + below + 1 + SSH_NAME + SSH_MAKES <= LONGEST
    assert (runtime / "immutable").stat().st_mode & 0o777 == 0o700
