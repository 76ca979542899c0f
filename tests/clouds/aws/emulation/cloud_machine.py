"""What runs on an emulated instance: an application that answers HTTP, and a server for logins.

It takes its launch data as a real server does: logins only with the launch's key, while the window
is open and the seal is not closed. Commands of a login run on this machine, as whoever runs the
tests; `immutable-seal now` seals the emulated server.

On the instance of a bake nothing runs: its commands are noted and said to have worked, and its
files go to a folder of the test. What Packer does with the API is real, what it would do to a disk
is not: for that an AMI needs a disk, and its instances are machines of `cloud_guest.py`.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh

from clouds.aws.emulation.cloud_journal import Journal

SSH_PORT = 2222
"""Where instances take logins: no port that only root may listen on."""
SEAL = "immutable-seal now"


class Machine:
    """One instance that runs.

    Attributes:
        every: Of so many rounds of health checks one asks it.
        launch: Its launch data, from the user data.
        keys: Who may log in, as OpenSSH's public keys.
        bakes: It is the instance of a bake.
        sealed: It takes no logins any more.
    """

    every = 1

    def __init__(
        self,
        identity: str,
        address: str,
        user_data: str,
        key_pair: str,
        folder: Path,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.identity = identity
        self.address = address
        self.launch = read_launch(user_data)
        self.keys = [key for key in (key_pair, self.launch.get("login_key", "")) if key]
        self.bakes = bool(key_pair) or self.launch.get("service") == "bake"
        self.folder = folder
        self.journal = journal
        self.loop = loop
        self.web: dict[int, ThreadingHTTPServer] = {}
        self.logins: asyncssh.SSHAcceptor | None = None
        self.sealed = not self.is_open()
        if not self.sealed:
            asyncio.run_coroutine_threadsafe(self._open(), loop).result()

    def is_open(self) -> bool:
        """Tell whether it has a key, and its launch data no window that has ended."""
        ends = float(self.launch.get("window_ends") or 0)
        return bool(self.keys) and (ends > time.time() or not self.launch)

    def find_port(self, port: int) -> int:
        """Return the port of `address` that answers for one of the instance's: the same."""
        return port

    def listen(self, port: int) -> None:
        """Have the application answer on a port too."""
        if port in self.web:
            return
        handler = type("Handler", (Application,), {"machine": self})
        self.web[port] = start_server(self.address, port, handler)

    def end(self) -> None:
        """Take no connections any more."""
        for server in self.web.values():
            stop_server(server)
        self.web.clear()
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

    def is_sick(self) -> bool:
        """Tell whether a test wants it to answer with errors: `sick-TEXT` names its user data."""
        texts = (file.name.removeprefix("sick-") for file in self.folder.glob("sick-*"))
        return any(text in json.dumps(self.launch) for text in texts)

    async def _open(self) -> None:
        self.logins = await asyncssh.listen(
            self.address,
            SSH_PORT,
            server_host_keys=[_read_host_key(self.launch)],
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
        if SEAL in command or self.bakes:
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

    def begin_auth(self, username: str) -> bool:
        """Ask everyone for a key."""
        del username
        return True

    def public_key_auth_supported(self) -> bool:
        """Know keys, and nothing else."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Compare with the keys while the window is open; a bake of an upstream AMI is no root."""
        machine = self.machine
        if machine.sealed or not machine.is_open() or username not in ("root", "admin"):
            return False
        known = [asyncssh.import_public_key(one).public_data for one in machine.keys]
        return key.public_data in known


class Application(BaseHTTPRequestHandler):
    """Says which instance answers."""

    machine: Machine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer every path."""
        sick = self.machine.is_sick()
        body = json.dumps(
            {"instance": self.machine.identity, "env": self.machine.launch.get("env")}
        )
        self.send_response(500 if sick else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Stay silent: the journal has what matters."""


def start_server(
    address: str, port: int, handler: type[BaseHTTPRequestHandler]
) -> ThreadingHTTPServer:
    """Answer HTTP on an address, in threads of this process."""
    server = ThreadingHTTPServer((address, port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def stop_server(server: ThreadingHTTPServer) -> None:
    """End it, without waiting for what is under way."""
    threading.Thread(target=server.shutdown, daemon=True).start()
    server.server_close()
