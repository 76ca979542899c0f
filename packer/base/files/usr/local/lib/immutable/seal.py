"""Takes the launch data and keeps the seal: a server takes no logins unless its window is open.

Closed is what happens without this program: sshd needs the file `OPEN` to start, and takes keys
from `KEYS` alone. Both are on a tmpfs, so a reboot forgets them; what it must not forget is in
`window.py`.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inspection import let_in, read_used
from launch_data import LaunchData, find_launch_data
from own_header import FILE, render_header
from own_name import take_name
from own_units import describe_own_units
from window import find_seconds, remember_closed, remember_opened

RUN = Path("/run/immutable")
OPEN = "open"
KEYS = "authorized_keys"
HOST_KEY = "ssh_host_ed25519_key"
SHIPS_LOGS = "ships-logs"
"""The condition of immutable-logs.service: most servers' launch data names no place for logs."""
ROOT_KEYS = Path("/root/.ssh")
PROGRAM = "/usr/local/sbin/immutable-seal"
SEALED_JOURNAL = Path("/etc/immutable/sealed-journald.conf")
"""How a sealed server's journal differs, where the console of such machines is slow."""
JOURNAL = Path("/run/systemd/journald.conf.d/sealed.conf")
SEALED = "sealed"
"""What `now` prints first, for whoever asked; after it a line for each login of people's key."""


def boot() -> None:
    """Write what the launch data says for the application, and open the login window or not."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    close_window(RUN)
    launch = find_launch_data()
    write_launch_data(RUN, launch)
    take_name(launch)
    if own := describe_own_units():
        print(f"own units: {own}", flush=True)  # noqa: T201 - the journal passes it on
    now = time.time()
    seconds = find_seconds(launch, now)
    if seconds > 0:
        remember_opened(launch, now)
        open_window(RUN, launch, seconds)
    else:
        quieten_console()


def write_launch_data(run: Path, launch: LaunchData) -> None:
    """Write `launch.json` for anyone to read, without the host key; `env` for systemd; nginx's."""
    public = {key: value for key, value in launch.items() if key != "host_key"}
    _write(run / "launch.json", json.dumps(public, sort_keys=True) + "\n", mode=0o644)
    if launch.get("logs"):
        _write(run / SHIPS_LOGS, "", mode=0o644)
    _write(run / "env", render_env(launch.get("env") or {}), mode=0o600)
    _write(run / FILE, render_header(launch), mode=0o644)


def render_env(env: Mapping[str, Any]) -> str:
    """Return the lines of an EnvironmentFile (systemd.exec(5)) that give exactly these values."""
    return "".join(f'{name}="{_escape(str(value))}"\n' for name, value in sorted(env.items()))


def open_window(run: Path, launch: LaunchData, seconds: float) -> None:
    """Let the launch data's keys in until the window ends; systemd's timer closes it then.

    Whichever comes first ends it: its time on the wall clock, or the seconds on the monotonic one.
    """
    _write(run / KEYS, render_keys(launch), mode=0o600)
    _make_host_key(run / HOST_KEY, launch.get("host_key", ""))
    _call(
        "systemd-run",
        "--quiet",
        "--unit=immutable-seal-now",
        f"--on-calendar=@{int(launch['window_ends'])}",
        f"--on-active={seconds:.0f}s",
        "--timer-property=AccuracySec=1s",
        PROGRAM,
        "now",
    )
    _write(run / OPEN, "", mode=0o644)


def render_keys(launch: LaunchData) -> str:
    """Return a line for each key that may log in: the verifier's, and people's, who are noted."""
    lines = [f"restrict,pty {launch['login_key'].strip()}"]
    inspector = str(launch.get("inspection_key") or "").strip()
    if inspector:
        lines.append(f'restrict,pty,command="{PROGRAM} inspect" {inspector}')
    return "".join(f"{line}\n" for line in lines)


def close_window(run: Path) -> None:
    """Remove every key, and what sshd needs to start."""
    for name in (OPEN, KEYS, HOST_KEY, f"{HOST_KEY}.pub"):
        (run / name).unlink(missing_ok=True)
    (ROOT_KEYS / KEYS).unlink(missing_ok=True)


def close_now() -> None:
    """Close the window for good, say who was here, and end every session, this one among them.

    New logins are refused from here on: the keys are gone. Sessions belong to sshd's unit, which is
    stopped without waiting, so that the caller still gets what was said.

    Raises:
        OSError: The disk does not take the note, so a reboot could open the window again.
    """
    close_window(RUN)
    try:
        remember_closed()
        print(f"{SEALED}\n{read_used()}", end="", flush=True)  # noqa: T201 - the caller reads it
        quieten_console()
    finally:
        _call("systemctl", "--no-block", "stop", "ssh.service")  # ends this process too


def quieten_console() -> None:
    """Have the journal print what `SEALED_JOURNAL` says from now on, where there is such a file.

    A journal that is started again keeps what it has and whom it hears (systemd-journald(8)).
    """
    if SEALED_JOURNAL.exists():
        JOURNAL.parent.mkdir(parents=True, exist_ok=True)
        _write(JOURNAL, SEALED_JOURNAL.read_text(encoding="utf-8"), mode=0o644)
        _call("systemctl", "--no-block", "restart", "systemd-journald.service")


def inspect() -> None:
    """Let somebody in who logs in with people's key, and remember it."""
    let_in(os.environ)


def _make_host_key(path: Path, handed: str) -> None:
    """Write the key that the launch handed over, or make one for this boot.

    The public half of one that is made goes to the console, where a cloud's API shows it: whoever
    logs in knows by it that nobody stands between.
    """
    if handed:
        _write(path, handed, mode=0o600)
        return
    path.unlink(missing_ok=True)
    _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
    kind, key, *_ = path.with_name(f"{path.name}.pub").read_text(encoding="ascii").split()
    print(f"host key {kind} {key}", flush=True)  # noqa: T201 - the journal passes it on


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write a file that was never readable for more than `mode` says."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    path.chmod(mode)


def _escape(value: str) -> str:
    for special in ("\\", '"', "$", "`"):
        value = value.replace(special, f"\\{special}")
    return value


def _call(*command: str) -> None:
    """Run a command; `subprocess` is left out for what its import costs on an emulated CPU."""
    pid = os.posix_spawnp(command[0], command, os.environ)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        message = f"{command[0]} ended with {status}"
        raise OSError(message)


def main(arguments: list[str]) -> int:
    """Run `boot`, `now` or `inspect`."""
    actions = {"boot": boot, "now": close_now, "inspect": inspect}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("usage: immutable-seal boot|now|inspect", file=sys.stderr)  # noqa: T201 - a command's usage
        return 2
    actions[arguments[0]]()
    return 0
