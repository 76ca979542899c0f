"""Talks to a running machine over its control socket (QMP)."""

import json
import socket
from pathlib import Path
from typing import Any

from immutable_servers.errors import LaunchError
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.qemu import NETWORK

_SECONDS = 10.0
PAUSES = {
    "io-error": "no space was left for its disk",
    "paused": "somebody paused it",
}
"""Why a machine stands still, by QEMU's word (RunState). On a full disk it loses nothing so."""


def remove_forward(qmp: Path, port: int) -> None:
    """Remove a forwarded port from a running machine; one that is gone already is no error.

    Raises:
        LaunchError: The machine does not answer, or refuses.
    """
    line = f"hostfwd_remove {NETWORK} tcp:{LOOPBACK}:{port}"
    said = str(_execute(qmp, "human-monitor-command", {"command-line": line}))
    if "removed" not in said and "not found" not in said:
        raise LaunchError(
            f"QEMU did not remove the forwarded port {port}",
            facts=[said.strip(), f"control socket: {qmp}"],
            todo="Run the update again.",
        )


def find_pause(qmp: Path) -> str:
    """Return why a running machine stands still; empty when it goes on, or does not answer."""
    try:
        said = _execute(qmp, "query-status", {})
    except LaunchError:
        return ""
    return PAUSES.get(said.get("status", ""), "") if isinstance(said, dict) else ""


def resume(qmp: Path) -> None:
    """Let a machine that stands still go on.

    Raises:
        LaunchError: It does not answer.
    """
    _execute(qmp, "cont", {})


def _execute(qmp: Path, command: str, arguments: dict[str, Any]) -> object:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(qmp))
            stream = connection.makefile("rw", encoding="utf-8")
            stream.readline()  # The greeting.
            for request in (
                {"execute": "qmp_capabilities"},
                {"execute": command, "arguments": arguments},
            ):
                stream.write(json.dumps(request) + "\n")
                stream.flush()
                answer = _read_answer(stream.readline)
            return answer
    except OSError as error:
        raise LaunchError(
            "A machine does not answer on its control socket",
            facts=[f"{qmp}: {error}"],
            todo="Run the update again: a machine that does not run is started again.",
        ) from error


def _read_answer(readline: Any) -> object:  # noqa: ANN401 - a bound method of a text stream
    """Return the next answer, passing over events."""
    while line := readline():
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            return message["error"].get("desc", "error")
        if "return" in message:
            return message["return"]
    return "the connection was closed"
