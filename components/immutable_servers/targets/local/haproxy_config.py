"""Renders HAProxy's configuration, and the map that its traffic pointers are looked up in.

HAProxy runs with the balancer's folder as its working folder, so that every file is named shortly.
A pointer is 100 entries of one map, `<service>:<slot>` to a backend; each request draws a slot. So
100 % and a canary of 10 % are the same thing, and the whole map is replaced at once.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from immutable_servers.contract.values import Route
from immutable_servers.targets.local.health import HOST
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.shared.health import ACCEPTED_TEXT, ANSWER_SECONDS

MAP = "traffic.map"
STATES = "servers.state"
"""What the worker before a reload knew of its servers."""
NO_STATES = "1\n"
"""The version that such a file begins with."""
SLOTS = 100
NOWHERE = "no-pointer"
"""The backend of a service whose pointer points nowhere: it answers 503."""
UNCHECKED = ".unchecked"
"""End of the second name of each server, by which it gets requests when every server is down."""
KEPT_SECONDS = 60
"""How long HAProxy lets a connection to its own socket be idle."""
_DIGEST = "digest"
"""Key of a map's last line: the digest of those before it."""
CONFIG_MARK = "description"
"""What `show info` calls the digest of the configuration that a worker runs."""


@dataclass(frozen=True)
class Backend:
    """One generation as the balancer sees it.

    Attributes:
        name: `<service>-<generation>`.
        servers: Server name to port on 127.0.0.1.
    """

    name: str
    health: str
    servers: Mapping[str, int]


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        timeout: Seconds that a client or a server may be silent.
        header_size: kB of all headers of a request, or of an answer.
    """

    timeout: float = 60
    header_size: int = 64


LIMITS = Limits()


def render_config(
    routes: Sequence[Route], backends: Sequence[Backend], limits: Limits, stats: Path
) -> str:
    """Return the configuration, with its digest: a worker reports which configuration it runs."""
    by_port = sorted(routes, key=lambda route: (route.port, route.host, route.service))
    parts = [
        *(_render_frontend(port, list(group)) for port, group in groupby(by_port, _port)),
        *(
            _render_backend(backend)
            for backend in sorted(backends, key=lambda backend: backend.name)
        ),
        f"backend {NOWHERE}\n    {_REFUSAL}\n",
    ]
    silence = round(limits.timeout * 1000)
    buffer = limits.header_size * 1024 + _REWRITE
    body = "\n".join([_DEFAULTS.format(silence=silence, check=ANSWER_SECONDS), *parts])
    digest = hashlib.sha256(f"{buffer}\n{body}".encode()).hexdigest()[:12]
    return (
        _GLOBAL.format(
            digest=digest,
            stats=stats,
            buffer=buffer,
            rewrite=_REWRITE,
            states=STATES,
            kept=KEPT_SECONDS,
        )
        + "\n"
        + body
    )


def digest_of(config: str) -> str:
    """Return the digest that a rendered configuration carries."""
    return config.split(f"{CONFIG_MARK} ", 1)[1].split(maxsplit=1)[0]


def render_map(pointers: Mapping[str, Mapping[str, int]]) -> str:
    """Return the map file for service to backend to weight, in percent of 100."""
    lines = []
    for service, weights in sorted(pointers.items()):
        spread = [backend for backend, weight in sorted(weights.items()) for _ in range(weight)]
        lines += [f"{service}:{slot} {backend}\n" for slot, backend in enumerate(spread)]
    return "".join([*lines, f"{_DIGEST} {_digest(lines)}\n"])


def parse_map(text: str) -> dict[str, dict[str, int]]:
    """Return service to backend to weight, from a map's `key value` lines."""
    pointers: dict[str, Counter[str]] = {}
    for line in text.splitlines():
        key, _, backend = line.partition(" ")
        service, _, _slot = key.rpartition(":")
        if service and backend:
            pointers.setdefault(service, Counter())[backend.strip()] += 1
    return {service: dict(weights) for service, weights in pointers.items()}


def is_marked_map(text: str) -> bool:
    """Return whether a map carries its mark: every one does but that of an early program."""
    return any(line.startswith(f"{_DIGEST} ") for line in text.splitlines())


def is_whole_map(text: str) -> bool:
    """Return whether lines that a map was read as are all of one version.

    HAProxy hands out a long map in parts, and the next version, of as many lines, may take its
    place meanwhile.
    """
    if not is_marked_map(text):
        return all(sum(weights.values()) == SLOTS for weights in parse_map(text).values())
    lines = [line for line in text.splitlines() if line.strip()]
    rest = [line for line in lines if not line.startswith(f"{_DIGEST} ")]
    return [*rest, f"{_DIGEST} {_digest(rest)}"] == [line.rstrip() for line in lines]


def _digest(lines: Sequence[str]) -> str:
    text = "\n".join(sorted(line.strip() for line in lines))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _port(route: Route) -> int:
    return route.port


def _render_frontend(port: int, routes: Sequence[Route]) -> str:
    lines = [f"frontend port-{port}", f"    bind {LOOPBACK}:{port}"]
    # A service without a host name has the port's other names; hosts refine that.
    for route in routes:
        condition = f" if {{ {_HOST_NAME} -i {route.host} }}" if route.host else ""
        lines.append(f"    http-request set-var(txn.service) str({route.service}){condition}")
    lines += [
        f"    {_UNKNOWN} unless {{ var(txn.service) -m found }}",
        f"    http-request set-var(txn.slot) rand({SLOTS})",
        f"    use_backend %[var(txn.service),concat(:,txn.slot),map({MAP},{NOWHERE})]",
        f"    default_backend {NOWHERE}",
        "",
    ]
    return "\n".join(lines)


def _render_backend(backend: Backend) -> str:
    servers = sorted(backend.servers.items())
    lines = [
        f"backend {backend.name}",
        "    option httpchk",
        f"    http-check send meth GET uri {backend.health} ver HTTP/1.1 hdr host {HOST}",
        f"    http-check expect status {ACCEPTED_TEXT}",
        "    http-request disable-l7-retry unless METH_GET",
        *(
            f"    server {name} {LOOPBACK}:{port} check inter 2s fastinter 500ms fall 2 rise 1"
            for name, port in servers
        ),
        # With every server down each is tried all the same: some may answer, and none is worse.
        "    option allbackups",
        *(f"    server {name}{UNCHECKED} {LOOPBACK}:{port} backup" for name, port in servers),
    ]
    return "\n".join([*lines, ""])


_HOST_NAME = "req.hdr(host),host_only,rtrim(.)"
"""Without its port, and without the dot that may end a full name."""
_UNKNOWN = (
    'http-request return status 404 content-type text/plain string "no service has this host\\n"'
)
_REFUSAL = 'http-request return status 503 content-type text/plain string "no generation serves\\n"'

_GLOBAL = """\
global
    description {digest}
    stats socket "{stats}" mode 600 level admin expose-fd listeners
    stats timeout {kept}s
    server-state-file {states}
    # Servers that a reload adds are asked soon: nobody has them for healthy before.
    max-spread-checks 100ms
    log stdout format raw local0 notice
    maxconn 2000
    tune.bufsize {buffer}
    tune.maxrewrite {rewrite}
    # An earlier worker ends with its last connection; nothing is cut off before `drain` is over.
    hard-stop-after 24h
"""

_REWRITE = 1024
"""Bytes of a buffer that are kept for headers which HAProxy adds."""

_DEFAULTS = """\
defaults
    mode http
    log global
    option dontlognull
    option redispatch 1
    # An idle connection to an old worker is answered once more, then closed: no client meets a
    # connection that closes under its request.
    option idle-close-on-response
    option forwardfor
    # A reload makes no server healthy: each stays what its last check found.
    load-server-state-from-file global
    retries 3
    retry-on conn-failure empty-response
    timeout connect 5s
    timeout client {silence}ms
    timeout server {silence}ms
    # Upgraded connections (WebSocket) may be silent for longer than a request.
    timeout tunnel 1h
    timeout http-keep-alive 10s
    timeout http-request 10s
    timeout check {check}s
"""
