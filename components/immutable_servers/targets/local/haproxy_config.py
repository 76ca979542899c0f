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
from immutable_servers.targets.local.ports import LOOPBACK

MAP = "traffic.map"
SLOTS = 100
NOWHERE = "no-pointer"
"""The backend of a service whose pointer points nowhere: it answers 503."""
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


def render_config(routes: Sequence[Route], backends: Sequence[Backend], stats: Path) -> str:
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
    body = "\n".join([_DEFAULTS, *parts])
    digest = hashlib.sha256(body.encode()).hexdigest()[:12]
    return _GLOBAL.format(digest=digest, stats=stats) + "\n" + body


def digest_of(config: str) -> str:
    """Return the digest that a rendered configuration carries."""
    return config.split(f"{CONFIG_MARK} ", 1)[1].split(maxsplit=1)[0]


def render_map(pointers: Mapping[str, Mapping[str, int]]) -> str:
    """Return the map file for service to backend to weight, in percent of 100."""
    lines = []
    for service, weights in sorted(pointers.items()):
        spread = [backend for backend, weight in sorted(weights.items()) for _ in range(weight)]
        lines += [f"{service}:{slot} {backend}\n" for slot, backend in enumerate(spread)]
    return "".join(lines)


def parse_map(text: str) -> dict[str, dict[str, int]]:
    """Return service to backend to weight, from a map's `key value` lines."""
    pointers: dict[str, Counter[str]] = {}
    for line in text.splitlines():
        key, _, backend = line.partition(" ")
        service, _, _slot = key.rpartition(":")
        if service and backend:
            pointers.setdefault(service, Counter())[backend.strip()] += 1
    return {service: dict(weights) for service, weights in pointers.items()}


def _port(route: Route) -> int:
    return route.port


def _render_frontend(port: int, routes: Sequence[Route]) -> str:
    lines = [f"frontend port-{port}", f"    bind {LOOPBACK}:{port}"]
    # A service without a host name has the port's other names; hosts refine that.
    for route in routes:
        condition = f" if {{ req.hdr(host),field(1,:) -i {route.host} }}" if route.host else ""
        lines.append(f"    http-request set-var(txn.service) str({route.service}){condition}")
    lines += [
        f"    http-request set-var(txn.slot) rand({SLOTS})",
        f"    use_backend %[var(txn.service),concat(:,txn.slot),map({MAP},{NOWHERE})]",
        f"    default_backend {NOWHERE}",
        "",
    ]
    return "\n".join(lines)


def _render_backend(backend: Backend) -> str:
    lines = [
        f"backend {backend.name}",
        f"    option httpchk GET {backend.health}",
        "    http-check expect status 200-299",
        "    http-request disable-l7-retry unless METH_GET",
    ]
    lines += [
        f"    server {name} {LOOPBACK}:{port} check inter 2s fastinter 500ms fall 2 rise 1"
        for name, port in sorted(backend.servers.items())
    ]
    return "\n".join([*lines, ""])


_REFUSAL = 'http-request return status 503 content-type text/plain string "no generation serves\\n"'

_GLOBAL = """\
global
    description {digest}
    stats socket "{stats}" mode 600 level admin expose-fd listeners
    stats timeout 1m
    log stdout format raw local0 notice
    maxconn 2000
    # An earlier worker ends with its last connection; nothing is cut off before `drain` is over.
    hard-stop-after 24h
"""

_DEFAULTS = """\
defaults
    mode http
    log global
    option dontlognull
    option redispatch
    # An idle connection to an old worker is answered once more, then closed: no client meets a
    # connection that closes under its request.
    option idle-close-on-response
    option forwardfor
    retries 3
    retry-on conn-failure empty-response
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    # Upgraded connections (WebSocket) may be silent for longer than a request.
    timeout tunnel 1h
    timeout http-keep-alive 10s
    timeout http-request 10s
    timeout check 5s
"""
