"""Asks a service for `/version` at a steady rate: a program of its own, `requester.py HOST PORT`.

It is light on the processor, which it shares with what it measures: one thread, plain bytes, and
connections that are kept; each tenth request is made on a fresh one, which sees a refusal. Requests
are due by the clock, and latency counts from then: a service that stalls is not asked more slowly.

It says `ready` first. Each line of its input is a number of requests in a second and the time from
which on it counts; its end ends the load, and what was due by then is asked. Then each request is
one line of JSON: `[due, answered, status, generation, why]`, in seconds of the
monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import re
import sys
from collections import deque
from contextlib import suppress

TIMEOUT = 10.0
KEPT = 32
"""Most connections that are kept; a request that is due while all are busy waits."""
FRESH = 10
"""Every n-th request is made on a connection of its own."""
OK = 200
READY = "ready"
GENERATION = re.compile(rb'"generation": *"([0-9a-z]*)"')
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection, with at most one request on it."""

    def __init__(self, load: "Load", *, kept: bool) -> None:
        self.load, self.kept = load, kept
        self.transport: asyncio.Transport | None = None
        self.due = 0.0
        self.asked = 0.0
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def ask(self, due: float) -> None:
        """Send a request."""
        self.due, self.asked, self.got = due, self.load.now(), b""
        self.load.busy.add(self)
        if self.transport:
            self.transport.write(self.load.kept_request if self.kept else self.load.last_request)

    def data_received(self, data: bytes) -> None:
        """Note the answer when it is whole."""
        self.got += data
        head, end, body = self.got.partition(END)
        length = LENGTH.search(head)
        if not end or not length or len(body) < int(length[1]):
            return
        status = int(head[9:12])
        found = GENERATION.search(body)
        self.load.busy.discard(self)
        self.load.note(self.due, status, found[1].decode() if found else "")
        if not self.kept or b"\r\nconnection: close" in head.lower():
            self.close()
        else:
            self.load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that ends under its request is a failure."""
        self.load.lose(self, f"connection lost: {exc}" if exc else "connection closed")

    def close(self) -> None:
        """Hang up."""
        if self.transport:
            self.transport.abort()


class Load:
    """The requests of one run."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        request = f"GET /version HTTP/1.1\r\nHost: {host}\r\n"
        self.kept_request = f"{request}\r\n".encode()
        self.last_request = f"{request}Connection: close\r\n\r\n".encode()
        self.now = asyncio.get_running_loop().time
        self.idle: deque[Connection] = deque()
        self.busy: set[Connection] = set()
        self.waiting: deque[float] = deque()
        self.opening: set[asyncio.Task[None]] = set()
        self.kept = 0
        self.asked = 0
        self.notes: list[tuple[float, float, int, str, str]] = []
        self.noted = asyncio.Event()

    def note(self, due: float, status: int, generation: str = "", why: str = "") -> None:
        """Keep what a request got."""
        why = why or ("" if status == OK else f"status {status}")
        self.notes.append((due, self.now(), status, generation, why))
        self.noted.set()

    def start(self, due: float) -> None:
        """Make the request that is due, or have it wait for a connection."""
        self.asked += 1
        if self.asked % FRESH == 0:
            self._open(due, kept=False)
        elif self.idle:
            self.idle.popleft().ask(due)
        elif self.kept < KEPT:
            self.kept += 1
            self._open(due, kept=True)
        else:
            self.waiting.append(due)

    def free(self, connection: Connection) -> None:
        """Take a connection back that has its answer."""
        if self.waiting:
            connection.ask(self.waiting.popleft())
        else:
            self.idle.append(connection)

    def lose(self, connection: Connection, why: str) -> None:
        """Forget a connection that has ended."""
        if connection in self.busy:
            self.busy.discard(connection)
            self.note(connection.due, 0, why=why)
        if connection in self.idle:
            self.idle.remove(connection)
        if connection.kept:
            self.kept -= 1

    def _open(self, due: float, *, kept: bool) -> None:
        task = asyncio.create_task(self._connect(due, kept=kept))
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    async def _connect(self, due: float, *, kept: bool) -> None:
        loop = asyncio.get_running_loop()
        making = loop.create_connection(lambda: Connection(self, kept=kept), self.host, self.port)
        try:
            _, connection = await asyncio.wait_for(making, TIMEOUT)
        except OSError as error:
            self.kept -= kept
            self.note(due, 0, why=f"{type(error).__name__}: {error}")
        else:
            connection.ask(due)

    async def keep_time(self) -> None:
        """Hang up on what was not answered in time."""
        while True:
            await asyncio.sleep(1)
            for connection in [one for one in self.busy if one.asked < self.now() - TIMEOUT]:
                self.busy.discard(connection)
                self.note(connection.due, 0, why=f"no answer in {TIMEOUT:.0f} s")
                connection.close()

    async def follow(self, orders: asyncio.StreamReader) -> None:
        """Ask at the rate of the last of the orders, until they end."""
        reading = asyncio.create_task(orders.readline())
        rate, due = 0.0, self.now()
        while True:
            wait = max(0.0, due - self.now()) if rate else None
            await asyncio.wait([reading], timeout=wait)
            order = reading.result().split() if reading.done() else None
            until = float(order[1]) if order else self.now()
            while rate and due <= until:
                self.start(due)
                due += 1 / rate
            if order is not None:
                if not order:
                    return
                rate, due = float(order[0]), until
                reading = asyncio.create_task(orders.readline())

    async def finish(self) -> None:
        """Wait for the answers to what was asked."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT + 1):
                while self.asked > len(self.notes) + len(self.waiting):
                    self.noted.clear()
                    await self.noted.wait()


async def main(host: str, port: int) -> None:
    """Ask as standard input says, and print what came."""
    load, orders = Load(host, port), asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    watch = asyncio.create_task(load.keep_time())
    print(READY, flush=True)  # noqa: T201 - its parent waits for this
    await load.follow(orders)
    await load.finish()
    watch.cancel()
    for note in load.notes:
        sys.stdout.write(json.dumps(note) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
