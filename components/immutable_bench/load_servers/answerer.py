"""A server that can take it: a program of its own, `answerer.py FOLDER GENERATION SERVER`.

It answers every GET with what the sample's `/version` would, and writes its port to FOLDER/port.
"""

import asyncio
import json
import sys
from pathlib import Path

END = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """Answers request after request on one connection."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.got = answer, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; a GET has no body."""
        *heads, self.got = (self.got + data).split(END)
        for head in heads:
            if self.transport:
                self.transport.write(self.answer)
                if b"connection: close" in head.lower():
                    self.transport.close()


async def main(folder: Path, generation: str, server: str) -> None:
    """Serve until the process is ended."""
    body = json.dumps({"generation": generation, "server": server}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    loop = asyncio.get_running_loop()
    answer = head.encode() + END + body
    serving = await loop.create_server(lambda: Answering(answer), "127.0.0.1", 0, backlog=128)
    beside = folder / "port.new"
    beside.write_text(str(serving.sockets[0].getsockname()[1]))
    beside.replace(folder / "port")
    await serving.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
