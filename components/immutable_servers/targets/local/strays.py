"""Finds and ends machines and balancers of ours whose folder is gone, or whose bake is dead.

Ours is a process of this user whose command line names a place below our data folder, as the
commands that we render do. One of a folder that exists is that folder's matter.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from immutable_servers.contract.values import Scope
from immutable_servers.system.half_folders import is_left
from immutable_servers.system.processes import end_process, identify_process
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.held_ports import PREFIX
from immutable_servers.targets.local.qemu import EMULATOR

_PIDFILES = {EMULATOR: "-pidfile", "haproxy": "-p"}
"""The option by which each program of ours names its folder."""
_BAKERS = (EMULATOR, "packer")
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Stray:
    """A process of ours that nobody knows any more.

    Attributes:
        folder: The folder that was its own.
        proof: The argument of its command line that names it.
        bakes: It is the machine, or the Packer, of a bake.
    """

    pid: int
    program: str
    folder: Path
    proof: str
    bakes: bool = False

    @property
    def scope(self) -> Scope | None:
        """Whose generation its folder was; None of a balancer and of a bake."""
        parts = self.folder.parts[len(layout.stacks_dir().parts) :]
        if self.bakes or len(parts) < 4 or parts[2] != "generations":  # noqa: PLR2004 - see layout
            return None
        service, _, generation = parts[3].rpartition("-")
        return Scope(parts[0], parts[1], service, generation)


def find_strays() -> Iterator[Stray]:
    """Yield the processes of ours whose folder, or whose bake, is gone."""
    for pid, words in _find_commands():
        stray = _find_stray(pid, words)
        if stray:
            yield stray


def find_bakers(half: Path) -> list[int]:
    """Return the pids of what runs on a half artifact, beside Packer and its plugins."""
    return [
        pid
        for pid, (program, *words) in _find_commands()
        if not Path(program).name.startswith("packer") and any(f"{half}/" in w for w in words)
    ]


def end_stray(stray: Stray) -> None:
    """End exactly this process, when its command line still is the same."""
    end_process(identify_process(stray.pid, Path(stray.proof)), _END_SECONDS)


def _find_stray(pid: int, words: list[str]) -> Stray | None:
    program = Path(words[0]).name
    option = _PIDFILES.get(program)
    if option in words[:-1]:
        proof = words[words.index(option) + 1]
        folder = Path(proof).parent
        ours = folder.is_relative_to(layout.stacks_dir())
        return Stray(pid, program, folder, proof) if ours and not folder.exists() else None
    if Path(words[-1]).name.startswith(PREFIX):  # It keeps the port of a machine.
        folder = Path(words[-1]).parent
        ours = folder.is_relative_to(layout.stacks_dir())
        return Stray(pid, program, folder, words[-1]) if ours and not folder.exists() else None
    for word in words if program in _BAKERS else ():
        half = _find_half(word)
        if half and is_left(half.name):
            return Stray(pid, program, half, word, bakes=True)
    return None


def _find_commands() -> Iterator[tuple[int, list[str]]]:
    """Yield pid and command line of each process of this user."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # It has just ended.
            words = process.cmdline()
            if words and process.uids().effective == os.getuid():
                yield process.pid, words


def _find_half(word: str) -> Path | None:
    """Return the half artifact that an argument names."""
    images = re.escape(str(layout.images_dir()))
    found = re.search(rf"{images}/[^/,]+/\.[^/,]+(?=/)", word)
    return Path(found[0]) if found else None
