"""The warm interpreter behind `warm_python`: all imports done, it forks for each request.

Its words are where it listens, folders in which modules are found beside its own path, a colon
between them, and the modules that it imports beside `MODULES`. It ends when its standard input
does, which is held by the tests.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

MODULES = (
    "dill",
    "grpc",
    "immutable_servers.generations.leftovers",
    "immutable_servers.images.provider",
    "immutable_servers.program",
    "immutable_servers.system.supervised",
    "immutable_servers.system.engine_watch",
    "pulumi",
    "pulumi.runtime",
    "pytest",
    "testinfra.plugin",
    "xml.etree.ElementTree",
)
"""What the processes of a run would import; nothing of them starts a thread."""
STREAMS = 3
STAND_INS = "WARM_PYTHON_STAND_INS"
"""Name of the variable that says which process stands for each fork above us, as JSON."""


def serve(place: Path, modules: Sequence[str], folders: Sequence[str]) -> None:
    """Fork for each connection until standard input ends."""
    bare = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
    sys.path[:] = [*bare, *folders]
    for module in (*MODULES, *modules):
        importlib.import_module(module)
    sys.path[:] = bare
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(64)
        while 0 not in (ready := select.select([0, listener], [], [])[0]):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                attend(connection, bare)
            connection.close()
        assert ready


def attend(connection: socket.socket, bare: list[str]) -> NoReturn:
    """Fork once more for the request itself, and stand between the fork and its stand-in."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stand_in = find_peer(connection)
    request, streams = receive(connection)
    worker = os.fork()
    with suppress(PermissionError):
        os.setpgid(worker, worker)  # here and there: whoever comes first
    if worker == 0:
        connection.close()
        run(request, streams, bare, stand_in)
    for stream in streams:
        os.close(stream)
    follow(connection, worker)


def find_peer(connection: socket.socket) -> int:
    """Return the process at the other end (unix(7), SO_PEERCRED)."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(told[:4], sys.byteorder)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return what was asked, and the streams that came with it."""
    head, streams, _, _ = socket.recv_fds(connection, 4, STREAMS)
    length = int.from_bytes(head, "big")
    text = b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    return json.loads(text), streams


def follow(connection: socket.socket, worker: int) -> NoReturn:
    """Pass signals on and the exit code back; without its stand-in the fork is killed.

    The engine signals the process group of its plugin, so the fork has one too, with what it
    starts.
    """
    ended = os.pidfd_open(worker)
    while ended not in (ready := select.select([ended, connection], [], [])[0]):
        assert ready
        number = connection.recv(1)
        os.killpg(worker, number[0] if number else signal.SIGKILL)
        if not number:
            os._exit(0)
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError):
        connection.send(bytes([code if code >= 0 else 128 - code]))
    os._exit(0)


def run(request: dict[str, Any], streams: list[int], bare: list[str], stand_in: int) -> NoReturn:
    """Become the process that was asked for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115 - till the end
    for name, number in (("stdout", 1), ("stderr", 2)):
        raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - till the end
        setattr(sys, name, io.TextIOWrapper(raw, write_through=True))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.executable = os.environ["WARM_PYTHON"]
    watch_engine_of(stand_in)
    end(execute(request["words"], bare))


def execute(words: list[str], bare: list[str]) -> int:
    """Run a module or a script as the interpreter would, and return its exit code."""
    extra = [folder for folder in os.environ.get("PYTHONPATH", "").split(":") if folder]
    is_safe = words[0] == "-P"
    words = words[is_safe:]
    is_module = words[0] == "-m"
    sys.argv = words[1:] if is_module else words
    first = str(Path.cwd()) if is_module else str(Path(words[0]).resolve().parent)
    sys.path[:] = [
        *([] if is_safe else [first]),
        *extra,
        *(folder for folder in bare if folder not in extra),
    ]
    customize(extra)
    try:
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the interpreter's own last line
        traceback.print_exc()
        return 1
    return 0


def customize(folders: Sequence[str]) -> None:
    """Run what a folder of `PYTHONPATH` has every interpreter run at its start (`site`)."""
    files = [Path(folder) / "sitecustomize.py" for folder in folders]
    for file in [file for file in files if file.exists()][:1]:
        runpy.run_path(str(file))


def end(code: int) -> NoReturn:
    """End as the interpreter does, but without taking its modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


def watch_engine_of(stand_in: int) -> None:
    """Have the package look for the engine above the stand-ins: the kernel says we are above forks.

    The watch, and what listens for the driver's word to stop, were begun when the warm interpreter
    imported them, and threads do not outlive a fork.
    """
    from dataclasses import replace  # noqa: PLC0415 - after the fork

    from immutable_servers.system import engine_watch, stopping, supervisor  # noqa: PLC0415 - the same

    known: dict[str, int] = json.loads(os.environ.get(STAND_INS, "{}"))
    parents = {**known, str(os.getpid()): stand_in}
    os.environ[STAND_INS] = json.dumps(parents)
    read = supervisor.read_stat

    def read_stat(pid: int) -> supervisor.Stat | None:
        stat = read(pid)
        return replace(stat, parent=parents.get(str(pid), stat.parent)) if stat else None

    engine_watch.read_stat = read_stat  # type: ignore[attr-defined]
    engine_watch.find_engine.cache_clear()
    for begin in (engine_watch.end_with_engine, stopping.listen):
        begin.cache_clear()
        begin()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[3:], sys.argv[2].split(":"))
