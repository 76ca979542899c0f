"""Calls a gRPC server of a run as somebody whom it must not serve.

Also a program of its own, `strangers.py PORT METHOD FOLDER`, which root starts: it becomes the user
nobody once all is imported, for that user may not read where we lie.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, provider_pb2, provider_pb2_grpc

NOBODY = 65534
ELSEWHERE = "127.0.0.2"
"""An address of the loopback too, but none that the engine calls from."""
SECONDS = 20

Call = Callable[[int, str, Path], str]
"""Calls a method of the server on a port, with a folder of ours as a virtual environment; returns
the name of the status, the error in the answer, or `answered`."""


def call_here(port: int, method: str, folder: Path) -> str:
    """Call as this user, from this process."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = _call(channel, method, folder)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(getattr(answer, "error", "")) or "answered"


def _call(channel: grpc.Channel, method: str, folder: Path) -> object:
    host = language_pb2_grpc.LanguageRuntimeStub(channel)
    provider = provider_pb2_grpc.ResourceProviderStub(channel)
    options = struct_pb2.Struct()
    options.update({"virtualenv": str(folder)})
    info = language_pb2.ProgramInfo(root_directory=str(folder), options=options)
    calls: dict[str, Callable[[], object]] = {
        "LanguageRuntime/GetPluginInfo": lambda: host.GetPluginInfo(
            empty_pb2.Empty(), timeout=SECONDS
        ),
        "LanguageRuntime/Run": lambda: host.Run(
            language_pb2.RunRequest(info=info), timeout=SECONDS
        ),
        "ResourceProvider/GetPluginInfo": lambda: provider.GetPluginInfo(
            empty_pb2.Empty(), timeout=SECONDS
        ),
        "ResourceProvider/Create": lambda: provider.Create(
            provider_pb2.CreateRequest(), timeout=SECONDS
        ),
    }
    return calls[method]()


def call_as_nobody(port: int, method: str, folder: Path) -> str:
    """Call as the user nobody; only root can."""
    words = [sys.executable, str(Path(__file__)), str(port), method, str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def call_from_elsewhere(port: int, method: str, folder: Path) -> str:
    """Call as this user, whom nothing shows to be this user: from an address of no engine."""
    with start_relay(port) as relay:
        return call_here(relay, method, folder)


@contextmanager
def start_relay(port: int) -> Iterator[int]:
    """Yield a port whose first connection goes on to `port` from `ELSEWHERE`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay() -> None:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port), source_address=(ELSEWHERE, 0))
            back = threading.Thread(target=copy, args=(far, near))
            back.start()
            copy(near, far)
            back.join()
            near.close()
            far.close()

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(SECONDS)


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Hand bytes on until the source ends."""
    while part := source.recv(65536):
        sink.sendall(part)
    sink.shutdown(socket.SHUT_WR)


def main(port: str, method: str, folder: str) -> None:
    """Become nobody and call."""
    grpc.insecure_channel("127.0.0.1:1").close()  # whatever gRPC still has to import
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    print(call_here(int(port), method, Path(folder)))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
