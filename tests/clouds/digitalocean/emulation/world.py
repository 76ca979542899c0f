"""The emulated account behind its API: what there is, what is under way, what happens by itself."""

import itertools
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from clouds.digitalocean.emulation.manners import Manners
from clouds.digitalocean.emulation.refusals import Refusal
from clouds.digitalocean.emulation.store import Store
from clouds.shared.cloud_clock import NAME, Clock
from clouds.shared.cloud_faults import take_fault
from clouds.shared.cloud_journal import Journal
from clouds.shared.cloud_loopback import claim_network
from clouds.shared.etiquette import Etiquette

TICK_SECONDS = 0.05
"""How often what happens by itself goes on, at least."""
BALANCERS, RESERVED, NODES = 200, 201, 250
"""Third numbers of addresses: of balancers, of reserved ones, and where balancers ask from."""
Effect = Callable[[], None]


class Part(Protocol):
    """What happens behind the API: droplets that run, balancers that pass requests on."""

    def settle(self) -> None:
        """Follow what the store says now. It is asked often, and under the world's lock."""

    def end(self) -> None:
        """Leave nothing behind."""


class World:
    """What the API's calls bring about.

    Attributes:
        lock: Held by who reads or changes anything here.
        parts: What happens by itself.
        network: The two first numbers of every address: `127.` and one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self.clock = Clock(folder / NAME)
        self.etiquette = Etiquette(folder, Manners)
        self.lock = threading.Condition(threading.RLock())
        self.store = Store(self.clock.now)
        self.parts: list[Part] = []
        self.due: list[tuple[float, Effect]] = []
        self.network, self.claim = claim_network()
        self.machines, self.places = itertools.count(2), itertools.count(1)

    @property
    def manners(self) -> Manners:
        """How it behaves now."""
        return self.etiquette.read()

    def draw(self, most: float, *about: object) -> float:
        """Return between half of some seconds and all of them."""
        return most * (1 + self.manners.draw(*about)) / 2

    def take_address(self) -> str:
        """Return an address that no droplet has: it is its public and its private one."""
        high, low = divmod(next(self.machines), 250)
        return f"{self.network}.{high}.{low + 1}"

    def take_place(self, third: int) -> str:
        """Return an address of a balancer, or a reserved one."""
        return f"{self.network}.{third}.{next(self.places)}"

    def later(self, seconds: float, effect: Effect) -> None:
        """Have something happen in some seconds, under the lock; 0 is at once."""
        if seconds <= 0:
            effect()
            return
        self.due.append((time.monotonic() + seconds, effect))
        self.lock.notify_all()

    def start(self) -> None:
        """Have time pass."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while True:
            with self.lock:
                soon = min([when for when, _ in self.due], default=time.monotonic() + TICK_SECONDS)
                self.lock.wait(min(TICK_SECONDS, max(0.001, soon - time.monotonic())))
                try:
                    self.settle()
                except Exception:  # noqa: BLE001 - the test is told of it
                    self.journal.note("broken", traceback=traceback.format_exc())

    def settle(self) -> None:
        """Bring about what is due."""
        now = time.monotonic()
        come = sorted((one for one in self.due if one[0] <= now), key=lambda one: one[0])
        self.due = [one for one in self.due if one[0] > now]
        for _, effect in come:
            try:
                effect()
            except Refusal as error:  # what it was about is gone
                self.journal.note("void", why=error.message)
        for part in self.parts:
            part.settle()

    def end(self) -> None:
        """Leave nothing behind."""
        with self.lock:
            for part in self.parts:
                part.end()

    def take_fault(self, name: str) -> dict[str, Any] | None:
        """Return what a test wants to go wrong, `*` with any call; each fault is counted down."""
        return take_fault(self.folder, name, any_call=":" not in name)
