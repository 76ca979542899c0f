"""Has nginx name this server's generation in each answer, so that a client can tell who answered.

Whoever moves traffic asks the service's own address, and reads from this header whether each node
of the balancer has followed.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

from collections.abc import Mapping
from typing import Any

FILE = "nginx.conf"
"""In /run/immutable; the base's nginx.conf includes it where it is."""
HEADER = "X-Immutable-Generation"


def render_header(launch: Mapping[str, Any]) -> str:
    """Return nginx's configuration, empty where launch data names no generation or forbids it.

    What the application says of its own accord under that name is left out: there is one header.
    https://nginx.org/en/docs/http/ngx_http_headers_module.html#add_header
    """
    if not launch.get("generation") or not launch.get("generation_header", True):
        return ""
    name = f"{launch['service']}-{launch['generation']}"
    return f'add_header {HEADER} "{name}" always;\nproxy_hide_header {HEADER};\n'
