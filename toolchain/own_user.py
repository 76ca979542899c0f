"""Makes gRPC servers that answer this process's own user alone.

The engine speaks to its plugins over TCP on the loopback, which every user of the machine reaches,
and a plugin runs the code that it is sent (https://github.com/pulumi/pulumi/issues/21040). So each
call's peer is looked up: the kernel says whose socket is at the other end. It is asked for every
call, as the address of an engine that has ended can be somebody else's a moment later.

Lies beside the plugins, which are programs of their own: nothing of the project is imported.
"""

import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LOCAL = socket.inet_aton("127.0.0.1")
MAPPED = bytes(10) + b"\xff\xff"
"""What stands before an IPv4 address in IPv6 (RFC 4291, 2.5.5.2)."""
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
ESTABLISHED = 1
"""From linux/netlink.h, linux/sock_diag.h and net/tcp_states.h."""
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBxxI2s2s16s16sI8s")
ANSWER = struct.Struct("=BBxx2s2s16s16sI8sIIIII")
"""struct nlmsghdr, inet_diag_req_v2 and inet_diag_msg (sock_diag(7))."""

Find = Callable[[int, int], int]
"""Returns the user id at the client's end of a connection on the loopback, by both ports; an
OSError when it cannot be found out."""


class OwnUser(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses the calls of everybody else, and those whose user cannot be found out.

    Root is refused too where the server is another user's: it needs no server to do as it likes.

    Attributes:
        port: Where the server listens; until it is known nobody is answered.
    """

    def __init__(self, find: Find | None = None) -> None:
        """Take another way to find a connection's user, for tests."""
        self.find = find or find_user
        self.port = 0

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails
    ) -> Any:  # noqa: ANN401 - gRPC's own handlers
        """Return the method's handler with the look at the peer in front."""
        handler = continuation(details)
        for kind in KINDS:
            if answer := getattr(handler, kind, None):
                make = getattr(grpc, f"{kind}_rpc_method_handler")
                own = self._guard(answer)
                return make(own, handler.request_deserializer, handler.response_serializer)
        return handler

    def _guard(self, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - any message
            if why := self.find_objection(context.peer()):
                context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
            return answer(request, context)

        return call

    def find_objection(self, peer: str) -> str:
        """Return why a peer, such as `ipv4:127.0.0.1:40000`, is not answered; else nothing."""
        own = os.geteuid()
        found = re.fullmatch(r"ipv4:127\.0\.0\.1:(\d+)", peer)
        if not found or not self.port:
            return f"only user {own} is answered, and {peer} is not where an engine calls from"
        try:
            user = self.find(int(found[1]), self.port)
        except (OSError, subprocess.SubprocessError) as error:
            return f"only user {own} is answered, and whose {peer} is cannot be found out: {error}"
        return "" if user == own else f"only user {own} is answered, and {peer} is user {user}"


_make_grpc_server = grpc.server
"""The real one: `dynamic_providers.py` puts ours in its place."""


def make_server(*words: Any, **options: Any) -> grpc.Server:  # noqa: ANN401 - as grpc.server takes them
    """Return what `grpc.server` makes, answering our own user alone."""
    guard = OwnUser()
    guards = [guard, *(options.pop("interceptors", None) or ())]
    server = _make_grpc_server(*words, interceptors=guards, **options)
    add = server.add_insecure_port

    def add_insecure_port(address: str) -> int:
        guard.port = add(address)
        return guard.port

    server.add_insecure_port = add_insecure_port
    return server


def find_user(port: int, server: int, tables: Sequence[Path] = TABLES) -> int:
    """Return the user of the connection from a `port` to the `server`'s.

    A socket that was closed, or that no process holds any more, is shown as root's: only one that
    is established and has an inode counts.

    Raises:
        OSError: There is no such connection, or this system cannot say.
    """
    if not tables[0].exists():
        return ask_lsof(port, server)
    try:
        return ask_kernel(port, server)
    except OSError:  # there is none, or this kernel has no such diagnosis
        return read_tables(port, server, tables)


def ask_kernel(port: int, server: int) -> int:
    """Ask for this one socket: some microseconds, however many the machine has."""
    ends = port.to_bytes(2, "big"), server.to_bytes(2, "big"), LOCAL, LOCAL
    any_cookie = b"\xff" * 8
    body = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 1 << ESTABLISHED, *ends, 0, any_cookie)
    head = HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(head + body)
        answer = kernel.recv(4096)
    if HEADER.unpack_from(answer)[1] != SOCK_DIAG_BY_FAMILY:
        raise OSError("the kernel knows no such socket")
    _, state, *_, user, inode = ANSWER.unpack_from(answer, HEADER.size)
    return _check(state, user, inode)


def read_tables(port: int, server: int, tables: Sequence[Path] = TABLES) -> int:
    """Look for the socket in the kernel's tables (proc_pid_net(5))."""
    for table, address in zip(tables, (LOCAL, MAPPED + LOCAL), strict=True):
        parts = struct.unpack(f"={len(address) // 4}I", address)
        shown = "".join(f"{part:08X}" for part in parts)
        wanted = [f"{shown}:{port:04X}", f"{shown}:{server:04X}"]
        for words in map(str.split, table.read_text().splitlines()[1:]):
            if words[1:3] == wanted:
                return _check(int(words[3], 16), int(words[7]), int(words[9]))
    raise OSError(f"no socket from port {port} to port {server} in {tables[0]}")


def _check(state: int, user: int, inode: int) -> int:
    if state != ESTABLISHED or not inode:
        raise OSError("the caller's socket is closed")
    return user


def ask_lsof(port: int, server: int) -> int:
    """Ask lsof, on a system without these tables, whether the connection is our own user's."""
    own = os.geteuid()
    words = ["lsof", "-nP", "-a", "-u", str(own), f"-iTCP:{port}", "-sTCP:ESTABLISHED", "-Fn"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    if f"n127.0.0.1:{port}->127.0.0.1:{server}" in done.stdout.splitlines():
        return own
    raise OSError("lsof lists no such connection of ours")
