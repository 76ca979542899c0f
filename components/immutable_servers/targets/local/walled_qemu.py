"""Starts QEMU with its sandbox, and with `relay.py` between its guest and this machine.

A program of its own on the standard library alone. Packer starts it in the place of QEMU, so it
takes any template's arguments. A user network without `restrict=on` has a way out, and the relay is
put into it, so that nothing passes when the relay is gone:

```
card ── socket ── relay ── socket ── hub ── user network
```

    walled_qemu.py start CONSOLE NEIGHBOURS QEMU [ARGUMENT]...        becomes QEMU
    walled_qemu.py boot CONSOLE NEIGHBOURS QEMU [ARGUMENT]...         leaves it in the background
"""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

RELAY = str(Path(__file__).with_name("relay.py"))
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU's filter of system calls. It forbids what `-daemonize` does, so `boot` does it."""
CONSOLE_NUMBER = 99
CONSOLE = f"/dev/fd/{CONSOLE_NUMBER}"
"""Where QEMU has to write its guest's console: the pipe to the relay."""
SAFE_OPTIONS = {"id", "hostfwd", "restrict", "ipv6"} | {"hostname", "dnssearch", "domainname"}
"""Options of a user network with which its addresses stay those that the relay knows."""


class RefusedError(Exception):
    """QEMU's arguments describe a network that the relay cannot be put into."""


class Ways:
    """The ways out of one QEMU.

    Attributes:
        pairs: For each way the relay's two sockets: to the guest, to the network.
        inherited: QEMU's ends of them.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.inherited: list[socket.socket] = []

    def wall_off(self, arguments: Sequence[str]) -> list[str]:
        """Return QEMU's arguments with the sandbox, and with two sockets in each way out.

        Raises:
            RefusedError: A network is described in another way than `-netdev type,id=name`.
        """
        made = [] if "-sandbox" in arguments else ["-sandbox", SANDBOX]
        names: list[str] = []
        before = ""
        for word in arguments:
            if before == "-netdev" and _find_kind(word) == "user":
                names += self._add_way(word, made)
            elif before in {"-nic", "-net"} and not word.startswith(("none", "nic")):
                raise RefusedError(f"{before} {word}: only -netdev and -device are taken")
            else:
                made.append(word)
            before = "-" + word.lstrip("-") if word.startswith("-") else ""
        if not {"-" + word.lstrip("-") for word in arguments} & {"-netdev", "-nic", "-net"}:
            made += ["-nic", "none"]  # else QEMU adds a card with a way out
        return [_connect(word, names) for word in made]

    def _add_way(self, netdev: str, made: list[str]) -> list[str]:
        """Add a user network to the arguments; return its id when it is a way out."""
        parts = [part for part in netdev.split(",") if not part.startswith("ipv6=")]
        options = dict(part.partition("=")[::2] for part in parts[1:])
        refused = sorted(options.keys() - SAFE_OPTIONS)
        if refused or not options.get("id"):
            why = f"{', '.join(refused)} is not taken" if refused else "it has no id"
            raise RefusedError(f"-netdev {netdev}: {why}")
        made.append(",".join([*parts, "ipv6=off"]))
        if options.get("restrict") == "on":
            return []
        name = options["id"]
        (guest, card), (network, hub) = socket.socketpair(), socket.socketpair()
        self.pairs.append((guest, network))
        self.inherited += [card, hub]
        made += [
            *("-netdev", f"hubport,id={name}.a,hubid={hub.fileno()},netdev={name}"),
            *("-netdev", f"socket,id={name}.b,fd={hub.fileno()}"),
            *("-netdev", f"hubport,id={name}.c,hubid={hub.fileno()},netdev={name}.b"),
            *("-netdev", f"socket,id={name}.card,fd={card.fileno()}"),
        ]
        return [name]


def _find_kind(netdev: str) -> str:
    if netdev.startswith("{"):
        raise RefusedError(f"-netdev {netdev}: only type,option=value is taken")
    return netdev.partition(",")[0].removeprefix("type=")


def _connect(word: str, names: Sequence[str]) -> str:
    """Connect a card to the relay, where it was connected to a user network."""
    parts = word.split(",")
    if parts[0] == "hubport":
        return word
    ours = {f"netdev={name}": f"netdev={name}.card" for name in names}
    return ",".join(ours.get(part, part) for part in parts)


def become_qemu(console: str, neighbours: str, qemu: str, *arguments: str) -> None:
    """Start the relay, and become QEMU."""
    ways = Ways()
    try:
        words = ways.wall_off(arguments)
    except RefusedError as error:
        sys.exit(f"{error}. A guest must reach nothing of this machine.")
    source, sink = os.pipe()
    _start_relay([console, neighbours], ways.pairs, source)
    os.dup2(sink, CONSOLE_NUMBER)
    for end in ways.inherited:
        end.set_inheritable(True)
    os.execv(qemu, [qemu, *words])  # noqa: S606 - no shell is wanted


def _start_relay(
    words: Sequence[str], pairs: Sequence[tuple[socket.socket, socket.socket]], source: int
) -> None:
    """Start the relay as nobody's child; it has only its own ends, so it sees QEMU's close."""
    if os.fork():
        os.wait()
        return
    try:
        os.setsid()
        if os.fork() == 0:
            os.dup2(source, 0)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            for end in (end for pair in pairs for end in pair):
                end.set_inheritable(True)
            ends = [f"{guest.fileno()}:{network.fileno()}" for guest, network in pairs]
            program = [sys.executable, "-I", "-S", RELAY]
            os.execv(program[0], [*program, *words, *ends])  # noqa: S606 - the same
    finally:
        os._exit(0)


def boot(*words: str) -> None:
    """Start QEMU in the background; return when it runs, else end with its own words."""
    said, errors = os.pipe()
    ours, theirs = socket.socketpair()
    control = ["-chardev", f"socket,id=boot,fd={theirs.fileno()}", "-mon", "boot,mode=control"]
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else whoever waits for our output waits on
        os.dup2(errors, 2)
        theirs.set_inheritable(True)
        become_qemu(*words, *control)
    os.close(errors)
    theirs.close()
    if not answers(ours):
        _, status = os.waitpid(child, 0)
        with os.fdopen(said, errors="replace") as stream:
            sys.exit(stream.read() or f"it ended with {os.waitstatus_to_exitcode(status)}")


def answers(control: socket.socket) -> bool:
    """Wait until QEMU answers a command, which it does when its machine is made; or has ended."""
    with suppress(ConnectionError), control.makefile("rw") as stream:
        stream.write('{"execute": "qmp_capabilities"}\n')
        stream.flush()
        return bool(stream.readline() and stream.readline())  # it greets, then it answers
    return False


if __name__ == "__main__":
    if sys.argv[1] == "boot":
        boot(*sys.argv[2:])
    else:
        become_qemu(*sys.argv[2:])
