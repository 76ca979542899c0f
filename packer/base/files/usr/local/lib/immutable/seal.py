"""Takes the launch data and keeps the seal: a server takes no logins unless its window is open.

Closed is what happens without this program: sshd needs the file `OPEN` to start, and takes keys
from `KEYS` alone. Both are on a tmpfs, so a reboot forgets them and looks at the window again.
"""

# ruff: noqa: INP001 - a folder on the server, not a package

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launch_data import LaunchData, find_launch_data

RUN = Path("/run/immutable")
OPEN = "open"
KEYS = "authorized_keys"
HOST_KEY = "ssh_host_ed25519_key"
ROOT_KEYS = Path("/root/.ssh")


def boot() -> None:
    """Write what the launch data says for the application, and open the login window or not."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    launch: LaunchData = {}
    try:
        launch = find_launch_data()
        write_launch_data(RUN, launch)
    finally:
        if is_open(launch, time.time()):
            open_window(RUN, launch)
        else:
            close_window(RUN)


def is_open(launch: LaunchData, now: float) -> bool:
    """Tell whether the launch data carries a key and a window that has not ended."""
    return bool(launch.get("login_key")) and float(launch.get("window_ends") or 0) > now


def write_launch_data(run: Path, launch: LaunchData) -> None:
    """Write `launch.json` for anyone to read, without the host key, and `env` for systemd."""
    public = {key: value for key, value in launch.items() if key != "host_key"}
    _write(run / "launch.json", json.dumps(public, sort_keys=True) + "\n", mode=0o644)
    _write(run / "env", render_env(launch.get("env") or {}), mode=0o600)


def render_env(env: Mapping[str, Any]) -> str:
    """Return the lines of an EnvironmentFile (systemd.exec(5)) that give exactly these values."""
    return "".join(f'{name}="{_escape(str(value))}"\n' for name, value in sorted(env.items()))


def open_window(run: Path, launch: LaunchData) -> None:
    """Let the launch data's key in until the window ends; systemd's timer closes it then."""
    _write(run / KEYS, f"restrict,pty {launch['login_key'].strip()}\n", mode=0o600)
    _make_host_key(run / HOST_KEY, launch.get("host_key", ""))
    _call(
        "systemd-run",
        "--quiet",
        "--unit=immutable-seal-now",
        f"--on-calendar=@{int(launch['window_ends'])}",
        "--timer-property=AccuracySec=1s",
        "/usr/local/sbin/immutable-seal",
        "now",
    )
    _write(run / OPEN, "", mode=0o644)


def close_window(run: Path) -> None:
    """Remove every key, and what sshd needs to start."""
    for name in (OPEN, KEYS, HOST_KEY, f"{HOST_KEY}.pub"):
        (run / name).unlink(missing_ok=True)
    (ROOT_KEYS / KEYS).unlink(missing_ok=True)


def close_now() -> None:
    """Close the window and end every session, this one among them.

    New logins are refused from here on: the keys are gone. Sessions belong to sshd's unit, which is
    stopped without waiting, so that the caller still gets its exit code.
    """
    close_window(RUN)
    _call("systemctl", "--no-block", "stop", "ssh.service")


def _make_host_key(path: Path, handed: str) -> None:
    """Write the key that the launch handed over, or make one for this boot."""
    if handed:
        _write(path, handed, mode=0o600)
    else:
        path.unlink(missing_ok=True)
        _call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))


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
    """Run `boot` or `now`."""
    actions = {"boot": boot, "now": close_now}
    if len(arguments) != 1 or arguments[0] not in actions:
        print("usage: immutable-seal boot|now", file=sys.stderr)  # noqa: T201 - a command's usage
        return 2
    actions[arguments[0]]()
    return 0
