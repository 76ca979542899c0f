"""HTTP/1.1 messages on streams, as the emulated balancers and servers need them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
"""Headers that are about one connection."""
END = b"\r\n\r\n"


@dataclass(frozen=True)
class Message:
    """A request or an answer.

    Attributes:
        first: Its first line.
        headers: By name in small letters.
    """

    first: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def code(self) -> int:
        """The code of an answer."""
        return int(self.first.split(" ", 2)[1])

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with it."""
        return self.headers.get("connection", "").lower() == "close"

    def render(self, *, close: bool = False) -> bytes:
        """Return it as it goes over the wire."""
        kept = [f"{name}: {value}" for name, value in self.headers.items() if name not in HOP]
        ending = ["connection: close"] if close else []
        head = [self.first, *kept, *ending, f"content-length: {len(self.body)}"]
        return "\r\n".join(head).encode() + END + self.body


def answer(code: int, body: bytes, **headers: str) -> Message:
    """Return an answer; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Message(f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", named, body)


async def read_message(stream: asyncio.StreamReader) -> Message:
    """Read a message.

    Raises:
        EOFError: The connection ended before its end.
    """
    head = await stream.readuntil(END)
    first, *lines = head[: -len(END)].decode().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in headers:
        message = "the emulated cloud does not know chunked bodies"
        raise NotImplementedError(message)
    body = await stream.readexactly(int(headers.get("content-length") or 0))
    return Message(first, headers, body)


async def serve(
    stream: asyncio.StreamReader,
    out: asyncio.StreamWriter,
    answer_one: Callable[[Message], Awaitable[Message | None]],
    idle: float | None = None,
) -> None:
    """Answer one connection's requests, until it is idle for so many seconds; None hangs up."""
    with contextlib.suppress(EOFError, OSError, TimeoutError), contextlib.closing(out):
        while True:
            async with asyncio.timeout(idle):
                request = await read_message(stream)
            said = await answer_one(request)
            if said is None:
                return
            out.write(said.render(close=request.is_last))
            await out.drain()
            if request.is_last:
                return
