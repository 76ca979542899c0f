"""Reserved addresses as packets meet them: a connection goes to the droplet that has the address.

A move ends the connections that there are: what is lost in a real one is not known.
"""

import asyncio
import contextlib
from typing import Any

from clouds.digitalocean.emulation.machines import find_machines
from clouds.digitalocean.emulation.world import World
from clouds.shared.cloud_machine import Machine

BLOCK = 65536


class Relay:
    """A port of a reserved address, which leads to a droplet's."""

    def __init__(self, address: str, port: int, machine: Machine) -> None:
        self.address, self.port, self.machine = address, port, machine
        self.server: asyncio.Server | None = None
        self.lines: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Take connections."""
        self.server = await asyncio.start_server(self._serve, self.address, self.port)

    async def close(self) -> None:
        """Take none any more, and end those that there are."""
        if self.server:
            self.server.close()
        for line in [*self.lines]:
            line.close()

    async def _serve(self, stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        source = out.get_extra_info("peername")[0]
        with contextlib.closing(out), contextlib.suppress(OSError):
            there, onward = await asyncio.open_connection(
                self.machine.address, self.port, local_addr=(source, 0)
            )
            self.lines |= {out, onward}
            with contextlib.closing(onward):
                await asyncio.gather(_pass_on(stream, onward), _pass_on(there, out))
            self.lines -= {out, onward}


async def _pass_on(stream: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await stream.read(BLOCK):
            out.write(block)
            await out.drain()
    out.close()


class Relays:
    """The relays of all reserved addresses, by address and port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.relays: dict[tuple[str, int], Relay] = {}

    def settle(self) -> None:
        """Bring relays to what the API says."""
        there = find_machines(self.world).running
        running = {which: one for which, one in there.items() if isinstance(one, Machine)}
        wanted = {
            (one["ip"], port): running[str(one["_droplet"])]
            for one in self.world.store.list("reserved_ips")
            if str(one["_droplet"]) in running
            for port in running[str(one["_droplet"])].web.servers
        }
        for key in [*self.relays]:
            if wanted.get(key) is not self.relays[key].machine:
                self._run(self.relays.pop(key).close())
        for key, machine in wanted.items():
            if key not in self.relays:
                self.relays[key] = Relay(*key, machine)
                self._run(self.relays[key].open())

    def end(self) -> None:
        """Take no connections any more."""
        for relay in self.relays.values():
            self._run(relay.close())

    def _run(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        asyncio.run_coroutine_threadsafe(work, find_machines(self.world).traffic).result()
