"""Starts Python in a hundredth of a second: a `python` that asks a warm interpreter for a fork.

Run as a program of its own, on the standard library alone. The engine's plugins, the program and
the checks are real processes as ever, each with its own environment; they only have their imports
behind them. This process stands for the fork: it passes signals on to it, ends when it ends, with
its exit code, and the fork ends with this one, however it ended.
"""

import array
import json
import os
import signal
import socket
import sys

SOCKET = "WARM_PYTHON_SOCKET"
REAL = "WARM_PYTHON_REAL"
"""Names of the variables that say where the warm interpreter listens, and which is the cold one."""
KILLED = 137
HERE: dict[str, str] = {}
"""The same variables, as they were when this file was written: the environment that checks get has
none of them."""


def main(words: list[str]) -> int:
    """Have a fork run a module or a script; anything else is for the real interpreter."""
    asked = [word for word in words if word != "-u"]
    named = [word for word in asked[:2] if word != "-P"]
    known = named and (named[0] == "-m" or not named[0].startswith("-"))
    environment = {**HERE, **os.environ}
    place = environment.get(SOCKET, "")
    if not known or not place:
        real = environment[REAL]
        os.execv(real, [real, *words])  # noqa: S606 - as a shell would
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        folder = os.getcwd()  # noqa: PTH109 - pathlib doubles the start-up time
        send(connection, {"words": asked, "environment": environment, "folder": folder})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, _frame: connection.send(bytes([got])))
        answer = connection.recv(1)
    return answer[0] if answer else KILLED


def send(connection: socket.socket, request: dict[str, object]) -> None:
    """Send a request with our three standard streams."""
    text = json.dumps(request).encode()
    streams = array.array("i", [0, 1, 2])
    head = len(text).to_bytes(4, "big")
    connection.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
