"""`logs`: prints the console logs of a service's servers, also of those that are gone."""

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from immutable_servers.contract.target import Target
from immutable_servers.driver.opened import Chosen, Opened
from immutable_servers.driver.terminal import console
from immutable_servers.errors import SettingsError

CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # a control sequence, such as a colour
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # an operating system command, such as a title
    r"|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f]"
)
"""Control characters, which a boot writes for a terminal and a log does not need."""
LONGEST_LINE = 64 * 1024
"""Characters that are waited for the end of."""
MOMENT = 0.3
"""Seconds between two readings of the files."""


@dataclass
class Reader:
    """Reads new lines of one log.

    Attributes:
        rest: The start of a line whose end is not written yet.
    """

    server: str
    file: Path
    offset: int = 0
    rest: str = ""

    def read_lines(self) -> Sequence[str]:
        """Return the whole lines since the last call; none of a file that is gone."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.offset)
                new = stream.read()
        except OSError:
            return []
        self.offset += len(new)
        *lines, self.rest = (self.rest + new.decode(errors="replace")).split("\n")
        if len(self.rest) > LONGEST_LINE:  # shown as it comes, as it may never end
            lines, self.rest = [*lines, self.rest], ""
        return [f"{self.server} | {CONTROLS.sub('', line)}" for line in lines]


@dataclass
class Follower:
    """Reads the logs of a generation, and those that appear later."""

    chosen: Chosen
    generation: str
    readers: dict[str, Reader] = field(default_factory=dict)

    def show_new(self) -> None:
        """Print the new lines."""
        found = find_consoles(self.chosen, self.generation)
        for server, file in found.items():
            reader = self.readers.setdefault(server, Reader(server, file))
            reader.file = file  # a server that went has its log elsewhere
            for line in reader.read_lines():
                console.show(line)


def run_logs(stack: Opened, service: str, generation: str, *, follow: bool) -> int:
    """Print a generation's consoles, server by server; with `follow` go on until Ctrl-C.

    Raises:
        SettingsError: There is no such service, or no log of the generation.
    """
    chosen = stack.choose_service(service)
    generation = generation or choose_generation(chosen)
    if not generation or not find_consoles(chosen, generation):
        raise _find_nothing(chosen, generation)
    follower = Follower(chosen, generation)
    follower.show_new()
    never = threading.Event()
    while follow:
        never.wait(MOMENT)
        follower.show_new()
    return 0


def find_consoles(chosen: Chosen, generation: str) -> Mapping[str, Path]:
    """Return the log of each server of a generation; without one, of all generations."""
    return chosen.stack.target.fleets.find_consoles(
        replace(chosen.place.scope, generation=generation)
    )


def choose_generation(chosen: Chosen) -> str:
    """Return the live generation, else that of the newest log; empty without any."""
    traffic = chosen.stack.target.balancer.find_weights(chosen.place.scope)
    consoles = find_consoles(chosen, "")
    newest = sorted(consoles, key=lambda server: consoles[server].stat().st_mtime)
    heaviest = sorted(traffic, key=lambda generation: traffic[generation])
    return heaviest[-1] if heaviest else _find_generation(newest[-1]) if newest else ""


def _find_generation(server: str) -> str:
    """Return the generation of a server by its name, such as `web-3f2a9c41-0`."""
    return server.rsplit("-", 2)[1]


def _find_nothing(chosen: Chosen, generation: str) -> SettingsError:
    known = sorted({_find_generation(server) for server in find_consoles(chosen, "")})
    named = f"generation {generation}" if generation else "any generation"
    target = chosen.stack.target
    return SettingsError(
        f"There are no logs of {named} of {chosen.name}",
        facts=[f"Generations with logs: {', '.join(known) or 'none'}"],
        todo=target.consoles_hint or _name_tools(target),
    )


def _name_tools(target: Target) -> str:
    command = f": `{target.consoles_command}`" if target.consoles_command else ""
    return (
        f"The target {target.name} shows consoles of running servers with its own tools{command}."
    )
