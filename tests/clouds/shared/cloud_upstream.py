"""A balancer node's connections to servers, which are kept and used again.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/
load-balancer-troubleshooting.html says which code is for what.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable

from clouds.shared.cloud_manners import Manners
from clouds.shared.cloud_wire import Message, read_message


class Failed(Exception):  # noqa: N818 - what happened, not a fault of ours
    """No answer came from a server.

    Attributes:
        code: What the balancer answers.
        connected: Whether a connection was there.
    """

    def __init__(self, code: int, why: str, *, connected: bool) -> None:
        super().__init__(why)
        self.code, self.connected = code, connected


class Line(asyncio.StreamReader):
    """A connection's reading end, which knows when its server hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = asyncio.get_running_loop().time
        self.ended = 0.0
        self.used = self.clock()

    def feed_eof(self) -> None:
        """Note the time."""
        self.ended = self.ended or self.clock()
        super().feed_eof()


Kept = tuple[Line, asyncio.StreamWriter]


class Upstream:
    """The connections of one node, which come from an address of its own if it has one."""

    def __init__(self, find_manners: Callable[[], Manners], source: str = "") -> None:
        self.find_manners, self.source = find_manners, source
        self.kept: dict[tuple[str, int], list[Kept]] = defaultdict(list)

    async def ask(
        self, address: str, port: int, request: Message, idle: float, most: float | None = None
    ) -> Message:
        """Pass a request on, and return the answer.

        Args:
            address: The server's.
            port: The server's.
            request: What is asked.
            idle: After how many seconds a connection that nobody uses is closed.
            most: How many seconds an answer may take, where that is another number.

        Raises:
            Failed: There is none. The request is not made again: it may have had effect.
        """
        pace = self.find_manners().pace
        kept = self._find_kept(address, port, idle * pace)
        line, out = kept or await _connect(address, port, self.source)
        try:
            async with asyncio.timeout((most or idle) * pace):
                out.write(request.render())
                said = await read_message(line)
        except TimeoutError:
            out.close()
            raise Failed(504, "no answer in time", connected=True) from None
        except (EOFError, OSError):
            out.close()
            idle_for = f"after {line.clock() - line.used:.2f} s " if kept else ""
            raise Failed(502, f"{idle_for}it hung up", connected=True) from None
        if said.is_last:
            out.close()
        else:
            line.used = line.clock()
            self.kept[address, port].append((line, out))
        return said

    def _find_kept(self, address: str, port: int, idle: float) -> Kept | None:
        """Return a connection that seems to be there still; the others are closed."""
        race, kept = self.find_manners().race, self.kept[address, port]
        while kept:
            line, out = kept.pop()
            now = line.clock()
            known = line.ended and now - line.ended > race
            if not known and now - line.used < idle:
                return line, out
            out.close()
        return None

    def close(self) -> None:
        """Close all of them."""
        for kept in self.kept.values():
            for _, out in kept:
                with contextlib.suppress(RuntimeError):
                    out.close()


async def _connect(address: str, port: int, source: str) -> Kept:
    """Connect to a server.

    Raises:
        Failed: It refused, or nobody is there.
    """
    loop = asyncio.get_running_loop()
    line = Line()
    protocol = asyncio.StreamReaderProtocol(line)
    try:
        transport, _ = await loop.create_connection(
            lambda: protocol, address, port, local_addr=(source, 0) if source else None
        )
    except OSError as error:
        raise Failed(502, str(error), connected=False) from None
    return line, asyncio.StreamWriter(transport, protocol, line, loop)
