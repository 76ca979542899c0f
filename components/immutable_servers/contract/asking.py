"""Asks an address over fresh connections: each node that its name leads to, at the same time."""

import errno
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from functools import cache, partial
from http.client import HTTPConnection, HTTPException
from typing import TypeVar
from urllib.parse import urlsplit

from immutable_servers.contract.front import HEADER, Reply
from immutable_servers.system.waiting import begin, wait_until

T = TypeVar("T")
NODE_SECONDS = 5.0
"""How long one node may take to connect, and then to answer."""
PORTS = {"http": 80, "https": 443}
NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}
"""The kernel knows no way to an address, as to each IPv6 address where there is IPv4 alone."""
NO_ROUTE = "no way leads there from here"
_LOOK = 0.02


def ask_every_node(
    address: str, host: str, path: str, headers: Mapping[str, str] | None = None
) -> Sequence[Reply]:
    """Ask once, by a new TCP connection to each address that the name resolves to now.

    Nodes that no way of this machine leads to are left out, unless that is all of them.

    Args:
        address: URL of the balancer.
        host: The question's Host.
        path: What is asked for.
        headers: Further headers of the question.

    Raises:
        StoppedError: This process was asked to stop; what is still open ends by itself.
    """
    parts = urlsplit(address)
    name, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    (found,) = _do_at_once([partial(_find_nodes, name, port)], f"looking up {name}")
    if isinstance(found, Reply | None):
        return [found or Reply(name, fault=f"{name} was not looked up in time")]
    tls = _make_tls() if parts.scheme == "https" else None
    said = {**(headers or {}), "Host": host, "Connection": "close"}
    ask = partial(_ask_node, port=port, path=path, headers=said, tls=tls)
    asked = _do_at_once([partial(ask, node) for node in found], f"asking {address}")
    late = f"no answer within {NODE_SECONDS:.0f} s"
    replies = [one or Reply(node, fault=late) for node, one in zip(found, asked, strict=True)]
    return [one for one in replies if one.fault != NO_ROUTE] or replies


def _find_nodes(name: str, port: int) -> Sequence[str] | Reply:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Reply(name, fault=f"{name}: {error.strerror or error}")
    nodes = [*dict.fromkeys(str(one[4][0]) for one in found)]
    return nodes or Reply(name, fault=f"{name} has no address")


def _ask_node(
    node: str, *, port: int, path: str, headers: Mapping[str, str], tls: ssl.SSLContext | None
) -> Reply:
    try:
        plain = socket.create_connection((node, port), NODE_SECONDS)
    except TimeoutError:
        return Reply(node, fault=f"no connection within {NODE_SECONDS:.0f} s", silent=True)
    except OSError as error:
        if error.errno in NO_WAY:
            return Reply(node, fault=NO_ROUTE, silent=True)
        return Reply(node, fault=error.strerror or str(error))
    connection = HTTPConnection(headers["Host"])
    try:
        name = headers["Host"].partition(":")[0]
        connection.sock = tls.wrap_socket(plain, server_hostname=name) if tls else plain
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return Reply(node, answer.status, tuple(answer.headers.get_all(HEADER) or ()))
    except (OSError, HTTPException) as error:
        return Reply(node, fault=str(error) or type(error).__name__)
    finally:
        connection.close()
        plain.close()


@cache
def _make_tls() -> ssl.SSLContext:
    """Return what takes any certificate.

    One header is read, and what is sent is worth little: a header may lead to servers that are to
    be public soon. A balancer's certificate is for the names that users know, never for the name
    that it has at its cloud, and may not be there yet.
    """
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _do_at_once(works: Sequence[Callable[[], T]], what: str) -> Sequence[T | None]:
    """Return what each work returns, None where it does not end in time.

    In threads, since neither a name's resolver nor a read that trickles can be cut short; they
    hold up neither a stop nor the end of this process.
    """
    begun = [begin(work) for work in works]

    def is_done() -> bool:
        return not wait(begun, timeout=0).not_done

    wait_until(what, 2 * NODE_SECONDS, is_done, every=_LOOK)
    return [one.result() if one.done() else None for one in begun]
