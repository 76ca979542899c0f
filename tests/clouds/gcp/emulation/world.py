"""The emulated cloud behind its API: what there is, what is under way, what happens by itself."""

import itertools
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from clouds.gcp.emulation.calls import Call
from clouds.gcp.emulation.manners import Manners
from clouds.gcp.emulation.store import Store, Thing
from clouds.gcp.emulation.works import Works
from clouds.shared.cloud_clock import NAME, Clock
from clouds.shared.cloud_faults import take_fault
from clouds.shared.cloud_journal import Journal
from clouds.shared.cloud_loopback import claim_network
from clouds.shared.etiquette import Etiquette

TICK_SECONDS = 0.05
"""How often what happens by itself goes on, at least; the end of an operation is on time."""
PUBLIC_NET = 200
"""Third number of the balancers' addresses: no machine has it."""
LISTS = ("list", "aggregatedList")
"""Methods that list."""


class Part(Protocol):
    """What happens behind the API: machines, group managers, health checks, front ends."""

    def settle(self) -> None:
        """Follow what the store says now. It is asked often, and under the world's lock."""

    def end(self) -> None:
        """Leave nothing behind."""


class World:
    """What the API's calls bring about.

    Attributes:
        lock: Held by who reads or changes anything here; it tells of every settling.
        parts: What happens by itself.
        works: Operations under way; `begin` starts one.
        network: The two first numbers of every address: `127.` and one of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self.clock = Clock(folder / NAME)
        self.etiquette = Etiquette(folder, Manners)
        self.lock = threading.Condition(threading.RLock())
        self.store = Store(self.clock.now, self._draw_linger)
        self.works = Works(self)
        self.begin = self.works.begin
        self.parts: list[Part] = []
        self.network, self.claim = claim_network()
        self.machines, self.fronts = itertools.count(2), itertools.count(1)

    @property
    def manners(self) -> Manners:
        """How it behaves now."""
        return self.etiquette.read()

    def show(self, call: Call) -> Mapping[str, Thing]:
        """Return what a read sees: a stranger's may be about a moment ago.

        Service accounts have no operations, and come late:
        https://cloud.google.com/iam/docs/service-accounts-create#creating
        """
        manners, listed = self.manners, call.method.action in LISTS
        stale = manners.stale if call.method.name.startswith("iam.") else 0.0
        stale = stale or (manners.late_lists if listed else 0.0)
        if not call.is_strange or not stale:
            return self.store.things
        drawn = manners.draw("stale", call.method.name, call.number)
        return self.store.show_past(stale * drawn)

    def find_page(self, call: Call) -> int:
        """Return how many things a page holds at most; 0 is what the call says."""
        return self.manners.page if call.is_strange else 0

    def _draw_linger(self, path: str) -> float:
        manners = self.manners
        return manners.linger * manners.draw("linger", path)

    def take_address(self, *, public: bool = False) -> str:
        """Return an address that nobody has: of a machine, or of the balancers."""
        if public:
            return f"{self.network}.{PUBLIC_NET}.{next(self.fronts)}"
        high, low = divmod(next(self.machines), 250)
        return f"{self.network}.{high}.{low + 1}"

    # what a machine has written
    def read_console(self, path: str) -> str:
        """Return what an instance has written to its serial port."""
        file = self._find_console(path)
        return file.read_text() if file.exists() else ""

    def write_console(self, path: str, text: str) -> None:
        """Have an instance write to its serial port."""
        file = self._find_console(path)
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as out:
            out.write(text)

    def follow_console(self, path: str, file: Path) -> None:
        """Have a file be what an instance writes to its serial port."""
        shown = self._find_console(path)
        shown.parent.mkdir(exist_ok=True)
        shown.unlink(missing_ok=True)
        shown.symlink_to(file)

    def _find_console(self, path: str) -> Path:
        number = (self.store.find(path) or {}).get("id", "0")
        return self.folder / "consoles" / str(number)

    def start(self) -> None:
        """Have time pass."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def _go_on(self) -> None:
        while True:
            with self.lock:
                self.lock.wait(self._find_pause())
                try:
                    self.settle()
                except Exception:  # noqa: BLE001 - the test is told of it
                    self.journal.note("broken", traceback=traceback.format_exc())

    def _find_pause(self) -> float:
        """Return in how many seconds something is due."""
        ends = [work.until for work in self.works.under_way]
        return max(0.001, min([time.monotonic() + TICK_SECONDS, *ends]) - time.monotonic())

    def settle(self) -> None:
        """Bring about what is due."""
        due = self.works.take_due()
        for work in due:
            self.works.finish(work)
        for part in self.parts:
            part.settle()
        if due:
            self.lock.notify_all()

    def end(self) -> None:
        """Leave nothing behind."""
        with self.lock:
            for part in self.parts:
                part.end()

    # what a test wants to go wrong
    def take_fault(self, name: str) -> dict[str, Any] | None:
        """Return what a test wants to go wrong, `*` with any call; each fault is counted down."""
        return take_fault(self.folder, name, any_call=":" not in name)
