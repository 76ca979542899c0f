"""An instance whose image has a disk: a QEMU machine booted from it, which keeps its own disk.

What it is launched with it asks of `cloud_metadata.py`, at the address and under the vendor's name
that its cloud gives its instances. The kernel is started by QEMU from a file beside the disk, and a
stop is a power cut.
"""

import asyncio
import contextlib
import json
import shlex
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from immutable_servers.targets.local.accelerator import find_accelerator
from immutable_servers.targets.local.qemu import EMULATION_ARGS, EMULATOR, KERNEL_ARGS

DISK, KERNEL, INITRD = "disk.qcow2", "vmlinuz", "initrd.img"
SSH_PORTS = (2222, 22)
"""Where an instance takes logins here, and in the guest."""
HIGH = 10000
"""Added to a port that only root may listen on."""
METADATA = Path(__file__).with_name("cloud_metadata.py")
NETWORK = "169.0.0.0/8"
"""The guest's network: it holds the address of metadata, and is not a link's own."""
BANNER_SECONDS = 5.0


class Vendor(NamedTuple):
    """A cloud: its name in the firmware, and whose metadata service an instance asks.

    Attributes:
        address: The guest's, where no DHCP gives it: QEMU would give another one.
        low_ports: Our code itself asks the guest's ports, also those that only root listens on.
    """

    name: str
    metadata: str
    address: str = ""
    low_ports: bool = False


AMAZON, GOOGLE = Vendor("Amazon EC2", "amazon"), Vendor("Google", "google")
DIGITALOCEAN = Vendor("DigitalOcean", "digitalocean", "169.0.0.77", low_ports=True)
CARD = "52:54:00:12:34:56"
"""The hardware address of the guest's card."""


class Guest:
    """One instance that runs in QEMU.

    Attributes:
        every: Of so many rounds of health checks one asks it: its processor may be emulated.
        address: Of the loopback, where its ports are.
        place: Its folder, with its disk, its console and what it is launched with.
    """

    every = 20

    def __init__(
        self,
        vendor: Vendor,
        metadata: Mapping[str, Any],
        address: str,
        image: Path,
        place: Path,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.vendor = vendor
        self.address = address
        self.place = place
        self.loop = loop
        self.process: asyncio.subprocess.Process | None = None
        self.ports: set[int] = set()
        self.asking = threading.Lock()
        place.mkdir(parents=True)
        (place / "metadata.json").write_text(json.dumps(metadata))
        for name in (KERNEL, INITRD):
            (place / name).symlink_to((image / name).resolve())
        # The guest ends with the thread that starts it: the loop's, which lives as long as we do.
        self._run(self._start((image / DISK).resolve()))

    @property
    def sealed(self) -> bool:
        """Tell whether no sshd answers."""
        try:
            with socket.create_connection((self.address, SSH_PORTS[0]), BANNER_SECONDS) as line:
                line.settimeout(BANNER_SECONDS)
                return not line.recv(4)
        except OSError:
            return True

    @property
    def console(self) -> str:
        """Return what the serial console shows."""
        return (self.place / "console.log").read_text(errors="replace")

    def find_port(self, port: int) -> int:
        """Return the port of `address` that leads to one of the guest's."""
        return port if port >= 1024 or self.vendor.low_ports else port + HIGH

    def listen(self, port: int) -> None:
        """Have a port of the guest's reached too."""
        if port not in self.ports:
            self.ports.add(port)
            guest = f"{self.vendor.address}:{port}"
            rule = f"hostfwd_add card tcp:{self.address}:{self.find_port(port)}-{guest}"
            self._run(self._ask("human-monitor-command", {"command-line": rule}))

    def end(self) -> None:
        """Cut the power; the disk stays."""
        self._run(self._quit())

    def keep_disk(self, image: Path) -> None:
        """Make an image's folder of the disk of a guest that has ended."""
        keep_files(self.place, image)

    def _run(self, work: Any) -> Any:  # noqa: ANN401 - a coroutine and what it returns
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def _start(self, disk: Path) -> None:
        made = await asyncio.create_subprocess_exec(
            *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2"),
            *("-b", str(disk), str(self.place / DISK)),
        )
        assert await made.wait() == 0
        self.process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", *self._render_command()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._read_answer()  # the greeting
        await self._ask("qmp_capabilities", {})

    def _render_command(self) -> Sequence[str]:
        place, accelerator = self.place, find_accelerator(self.place / KERNEL)
        emulated = accelerator == "tcg"
        words = ["-IS", str(METADATA), self.vendor.metadata, f"{place}/metadata.json"]
        metadata = shlex.join([sys.executable, *words])
        here, there = SSH_PORTS
        network = (
            # A subnet need not have IPv6.
            f"user,id=card,ipv6=off,net={NETWORK},"
            f"hostfwd=tcp:{self.address}:{here}-{self.vendor.address}:{there},"
            f"guestfwd=tcp:169.254.169.254:80-cmd:{metadata.replace(',', ',,')}"
        )
        return [
            *(EMULATOR, "-nodefaults", "-no-user-config", "-machine", "q35", "-m", "512"),
            *("-accel", "tcg,thread=multi" if emulated else accelerator, "-smp", "2"),
            *("-cpu", "max" if emulated else "host", "-display", "none"),
            *("-smbios", f"type=1,manufacturer={self.vendor.name}"),
            *("-kernel", f"{place}/{KERNEL}", "-initrd", f"{place}/{INITRD}"),
            *("-append", " ".join([KERNEL_ARGS, *([EMULATION_ARGS] if emulated else [])])),
            *("-drive", f"if=none,id=root,file={place}/{DISK},cache=unsafe,discard=unmap"),
            *("-device", "virtio-blk-pci,drive=root", "-device", "virtio-rng-pci"),
            *("-netdev", network, "-device", f"virtio-net-pci,netdev=card,mac={CARD},romfile="),
            *("-serial", f"file:{place}/console.log", "-qmp", "stdio"),
        ]

    async def _ask(self, command: str, arguments: Mapping[str, Any]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        asked = json.dumps({"execute": command, "arguments": arguments})
        self.process.stdin.write(f"{asked}\n".encode())
        answer = await self._read_answer()
        assert not answer.get("return"), answer  # the monitor's word when a command failed

    async def _read_answer(self) -> Mapping[str, Any]:
        """Return the next line that is no event (QEMU Machine Protocol Specification)."""
        assert self.process is not None
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said: Mapping[str, Any] = json.loads(line)
            if "event" not in said:
                return said
        message = f"QEMU has ended; see {self.place}"
        raise OSError(message)

    async def _quit(self) -> None:
        assert self.process is not None
        with contextlib.suppress(OSError):
            await self._ask("quit", {})
        await self.process.wait()


def keep_files(source: Path, image: Path) -> None:
    """Make an image's folder of files that do not change any more."""
    image.mkdir(parents=True, exist_ok=True)
    for name in (DISK, KERNEL, INITRD):
        with contextlib.suppress(FileNotFoundError):
            (image / name).unlink()
        (image / name).symlink_to((source / name).resolve())
