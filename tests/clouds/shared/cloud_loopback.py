"""What an emulated cloud takes of this machine: a network of the loopback, and event loops."""

import asyncio
import socket
import threading

CLAIMED = 10009
"""A port that nothing of ours uses: who listens there has claimed the whole network."""


def start_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def claim_network() -> tuple[str, socket.socket]:
    """Return `127.N` that no other emulated cloud on this machine has, and what holds it."""
    for number in range(16, 250):
        claim = socket.socket()
        try:
            claim.bind((f"127.{number}.255.254", CLAIMED))
            claim.listen(1)
        except OSError:
            claim.close()
            continue
        return f"127.{number}", claim
    message = "every network of the loopback is taken"
    raise OSError(message)
