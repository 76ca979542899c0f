"""What runs on an emulated instance: an application that answers HTTP, and a server for logins.

It takes its launch data as a real server does: logins only with the launch's key, while the window
is open and the seal is not closed. Commands of a login run on this machine, as whoever runs the
tests; `immutable-seal now` seals the emulated server.

On the instance of a bake nothing runs: its commands are noted and said to have worked, and its
files go to a folder of the test. What Packer does with the API is real, what it would do to a disk
is not: for that an image needs a disk, and its instances are machines of `cloud_guest.py`.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from clouds.shared.cloud_journal import Journal
from clouds.shared.cloud_manners import Manners
from clouds.shared.cloud_web import Web

SSH_PORT = 2222
"""Where instances take logins: no port that only root may listen on."""
SEAL = "immutable-seal now"
USED = "/var/lib/immutable/used"


def let_everyone_in(instance: str, source: str, port: int) -> bool:
    """Be no firewall."""
    del instance, source, port
    return True


@dataclass(frozen=True)
class Boot:
    """What an instance is launched with.

    Attributes:
        user_data: Its launch data as a text, where it has some.
        key_pair: A public key, empty without one.
        user: Who logs in with that one: an upstream image lets no root in.
    """

    identity: str
    address: str
    user_data: str
    key_pair: str
    user: str = "admin"


@dataclass(frozen=True)
class Surroundings:
    """What all instances of a cloud share.

    Attributes:
        loop: Where logins are answered.
        traffic: Where HTTP is answered.
        find_time: The cloud's clock.
        lets_in: Tells whether a firewall lets an address come to an instance's port.
    """

    folder: Path
    journal: Journal
    loop: asyncio.AbstractEventLoop
    traffic: asyncio.AbstractEventLoop
    find_time: Callable[[], float]
    manners: Manners
    lets_in: Callable[[str, str, int], bool] = let_everyone_in


class Machine:
    """One instance that runs.

    Attributes:
        every: Of so many rounds of health checks one asks it.
        launch: Its launch data, from the user data.
        keys: Who may log in, as OpenSSH's public keys.
        bakes: It is the instance of a bake.
        inspector: Whose logins it remembers, as one of those keys.
        used: When one was, as the real one keeps it on its disk.
        sealed: It takes no logins any more.
    """

    every = 1

    def __init__(self, boot: Boot, place: Surroundings) -> None:
        self.identity, self.address = boot.identity, boot.address
        self.launch, self.users = read_launch(boot.user_data), ("root", boot.user)
        self.inspector = self.launch.get("inspection_key", "")
        keys = (boot.key_pair, self.launch.get("login_key", ""), self.inspector)
        self.keys = [key for key in keys if key]
        self.used = ""
        self.bakes = bool(boot.key_pair) or self.launch.get("service") == "bake"
        self.folder, self.journal = place.folder, place.journal
        self.loop, self.traffic = place.loop, place.traffic
        self.find_time = place.find_time
        self.host_key = _read_host_key(self.launch)
        self.lets_in = partial(place.lets_in, boot.identity)
        self.web = Web(
            boot.identity, boot.address, self.launch, place.folder, place.manners, self.lets_in
        )
        self.logins: asyncssh.SSHAcceptor | None = None
        self.sealed = not self.is_open()
        if not self.sealed:
            asyncio.run_coroutine_threadsafe(self._open(), self.loop).result()

    def is_open(self) -> bool:
        """Tell whether it has a key, and its launch data no window that has ended."""
        ends = float(self.launch.get("window_ends") or 0)
        return bool(self.keys) and (ends > self.find_time() or not self.launch)

    @property
    def console(self) -> str:
        """Return what the serial console shows."""
        public = self.host_key.export_public_key().decode().strip()
        return f"[    1.000000] immutable-seal[311]: host key {public}\n"

    def find_port(self, port: int) -> int:
        """Return the port of `address` that answers for one of the instance's: the same."""
        return port

    def listen(self, port: int) -> None:
        """Have the application answer on a port too."""
        asyncio.run_coroutine_threadsafe(self.web.listen(port), self.traffic).result()

    def end(self) -> None:
        """Take no connections any more."""
        asyncio.run_coroutine_threadsafe(self.web.close(), self.traffic).result()
        self.close_logins()

    def close_logins(self) -> None:
        """End the server for logins."""
        if self.logins is not None:
            self.loop.call_soon_threadsafe(self.logins.close)
            self.logins = None

    def seal(self) -> None:
        """Close the seal."""
        if not self.sealed:
            self.sealed = True
            self.journal.note("seal", instance=self.identity)
        self.close_logins()

    async def _open(self) -> None:
        self.logins = await asyncssh.listen(
            self.address,
            SSH_PORT,
            server_host_keys=[self.host_key],
            server_factory=lambda: Logins(self),
            process_factory=self._run,
            sftp_factory=self._open_files,
            allow_scp=True,
        )

    def _open_files(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        """Keep what is copied to the instance in a folder of the test."""
        root = self.folder / "files" / self.identity
        (root / "tmp").mkdir(parents=True, exist_ok=True)
        (root / "var" / "tmp").mkdir(parents=True, exist_ok=True)
        return asyncssh.SFTPServer(channel, chroot=str(root).encode())

    async def _run(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        command = process.command or ""
        self.journal.note("login", instance=self.identity, command=command)
        if USED in command:
            process.stdout.write(self.used)
            process.exit(0)
            return
        if SEAL in command or self.bakes:
            process.stdout.write(f"sealed\n{self.used}")
            process.exit(0)
            if not self.bakes:
                self.seal()
            return
        ran = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await ran.communicate()
        process.stdout.write(out.decode(errors="replace"))
        process.stderr.write(error.decode(errors="replace"))
        process.exit(ran.returncode or 0)


def read_launch(user_data: str) -> Mapping[str, Any]:
    """Return the launch data of a user data text; empty for another kind of text."""
    with contextlib.suppress(ValueError):
        found = json.loads(user_data)
        if isinstance(found, dict):
            return found
    return {}


def _read_host_key(launch: Mapping[str, Any]) -> asyncssh.SSHKey:
    """Return the key that the launch handed over, or one made for this boot."""
    handed = launch.get("host_key")
    if handed:
        return asyncssh.import_private_key(handed)
    return asyncssh.generate_private_key("ssh-ed25519")


class Logins(asyncssh.SSHServer):
    """Lets root in with the launch's key, as the base image's sshd does."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Hang up on whom the firewall does not let in."""
        if not self.machine.lets_in(conn.get_extra_info("peername")[0], SSH_PORT):
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        """Ask everyone for a key."""
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        """Know keys, and nothing else."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Compare with the keys while the window is open."""
        machine = self.machine
        if machine.sealed or not machine.is_open() or username not in machine.users:
            return False
        known = {one: asyncssh.import_public_key(one).public_data for one in machine.keys}
        if machine.inspector and key.public_data == known[machine.inspector]:
            machine.used = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} 127.0.0.1\n"
        return key.public_data in known.values()
