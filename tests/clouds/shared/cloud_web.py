"""The application of an emulated instance: says who answers, or fails as a test wants."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clouds.shared.cloud_manners import Manners
from clouds.shared.cloud_wire import Message, answer, serve

HEADER = "X_Immutable_Generation"
"""What the base image's nginx adds to each answer, from launch data."""
EMULATED = "emulated-health-check"
"""Of DigitalOcean's, which nobody has written down."""
CHECKERS = ("ELB-HealthChecker/2.0", "GoogleHC/1.0", EMULATED)
"""User agents of health checks.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
https://cloud.google.com/load-balancing/docs/https#header-for-health-check-probes
"""
NEVER = 3600.0


class Web:
    """A server's ports that answer HTTP.

    Attributes:
        launch: The server's launch data.
        folder: Where a test writes how servers are. A file `sick-TEXT` has those whose launch data
            holds TEXT answer 500; `hung-TEXT` has them answer health checks alone, and nobody else
            ever; `dying-TEXT` has them hang up on everyone else.
        lets_in: Tells whether a firewall lets an address come to a port.
    """

    def __init__(
        self,
        identity: str,
        address: str,
        launch: Mapping[str, Any],
        folder: Path,
        manners: Manners,
        lets_in: Callable[[str, int], bool],
    ) -> None:
        self.identity, self.address, self.launch = identity, address, launch
        self.folder, self.manners, self.lets_in = folder, manners, lets_in
        self.servers: dict[int, asyncio.Server] = {}
        self.lines: set[asyncio.StreamWriter] = set()

    async def listen(self, port: int) -> None:
        """Answer on a port too."""
        if port not in self.servers:
            self.servers[port] = await asyncio.start_server(
                self._serve, self.address, port, backlog=512
            )

    async def close(self) -> None:
        """Take no connections any more, and end those that there are."""
        for server in self.servers.values():
            server.close()
        self.servers.clear()
        for line in [*self.lines]:
            line.close()

    def is_so(self, state: str) -> bool:
        """Tell whether a test wants this server to be so."""
        texts = (file.name.removeprefix(f"{state}-") for file in self.folder.glob(f"{state}-*"))
        return any(text in json.dumps(self.launch) for text in texts)

    async def _serve(self, stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        idle = self.manners.server_idle * self.manners.pace
        self.lines.add(out)
        if not self.lets_in(out.get_extra_info("peername")[0], out.get_extra_info("sockname")[1]):
            out.close()
        await serve(stream, out, self._answer, idle)
        self.lines.discard(out)

    async def _answer(self, request: Message) -> Message | None:
        """Return the answer; None hangs up."""
        checks = request.headers.get("user-agent") in CHECKERS
        if not checks and self.is_so("hung"):
            await asyncio.sleep(NEVER)
        if not checks and self.is_so("dying"):
            return None
        generation = str(self.launch.get("generation", ""))
        body = json.dumps(
            {
                "instance": self.identity,
                "generation": generation,
                "env": self.launch.get("env"),
            }
        ).encode()
        name = generation if self.launch.get("generation_header", True) else ""
        named = {HEADER: f"{self.launch.get('service')}-{generation}"} if name else {}
        code = 500 if self.is_so("sick") else 200
        return answer(code, body, content_type="application/json", **named)
