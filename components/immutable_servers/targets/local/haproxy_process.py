"""Starts HAProxy with a configuration, or reloads it without a lost request.

```
balancer.json   routes, backends and limits: what the configuration is rendered from
haproxy.cfg     rendered, and checked by HAProxy before it is used
traffic.map     the pointers, as the running HAProxy last said them
servers.state   what it knew of its servers before the last reload
haproxy.log     what HAProxy printed
process.json    the identity of its master process
```
The running balancer is the truth: before it is reloaded both files are written from what it says.
"""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from immutable_servers.contract.values import Route
from immutable_servers.errors import SetupError, TrafficError
from immutable_servers.system import places
from immutable_servers.system.environment import make_daemon_environment
from immutable_servers.system.files import read_json, write_json, write_whole
from immutable_servers.system.processes import Process, read_process, signal_process, write_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_pointers
from immutable_servers.targets.local.haproxy_config import (
    MAP,
    NO_STATES,
    STATES,
    Backend,
    Limits,
    digest_of,
    parse_map,
    render_config,
    render_map,
)
from immutable_servers.targets.local.haproxy_socket import find_config_digest, keep_worker
from immutable_servers.targets.local.haproxy_stats import render_states
from immutable_servers.targets.local.route_ports import PARTS, refuse_taken

_RELOAD_SECONDS = 20.0
_LOG_LINES = 15


@dataclass(frozen=True)
class Parts:
    """What a configuration is rendered from."""

    routes: Sequence[Route]
    backends: Sequence[Backend]
    limits: Limits


def find_running(folder: Path) -> Process | None:
    """Return the identity of the HAProxy that runs in a balancer's folder, or None."""
    return read_process(folder / "process.json", folder / "pid", folder)


def find_master(folder: Path) -> Path:
    """Return the path of the master's socket."""
    return places.runtime_dir(folder) / "master"


def read_parts(folder: Path) -> Parts:
    """Return what a balancer was made of last."""
    found = read_json(folder / PARTS) or {"routes": [], "backends": []}
    return Parts(
        [Route.from_plain(route) for route in found["routes"]],
        [Backend(**backend) for backend in found["backends"]],
        Limits(**found.get("limits", {})),
    )


def find_pointers(folder: Path) -> dict[str, dict[str, int]]:
    """Return service to backend to weight: from what runs, else from the file."""
    if find_running(folder):
        return haproxy_pointers.find_pointers(find_master(folder))
    with suppress(FileNotFoundError):
        return parse_map((folder / MAP).read_text())
    return {}


def apply(folder: Path, parts: Parts, *, start: bool = False) -> None:
    """Write the configuration, and have HAProxy run it; only checked ones take effect."""
    folder.mkdir(parents=True, exist_ok=True)
    running, master = find_running(folder), find_master(folder)
    before = {route.port for route in read_parts(folder).routes} if running else set()
    refuse_taken({route.port for route in parts.routes} - before, folder)
    write_whole(folder / MAP, render_map(find_pointers(folder)), mode=0o600)
    states = render_states(master, parts.backends) if running else NO_STATES
    write_whole(folder / STATES, states, mode=0o600)
    stats = places.runtime_dir(folder) / "stats"
    text = render_config(parts.routes, parts.backends, parts.limits, stats)
    _check_config(folder, text)
    config = folder / "haproxy.cfg"
    earlier = config.read_text() if config.exists() else ""
    write_whole(config, text, mode=0o600)
    try:
        if running and digest_of(text) != find_config_digest(master):
            keep_worker(master, stats)
            signal_process(running, signal.SIGUSR2)
            _wait_until_running(folder, digest_of(text))
        elif start and not running:
            _start(folder)
            _wait_until_running(folder, digest_of(text))
    except TrafficError:
        if running:  # What runs on is the earlier configuration: the files say so too.
            write_whole(config, earlier, mode=0o600)
        raise
    write_json(folder / PARTS, asdict(parts))


def _check_config(folder: Path, text: str) -> None:
    """Have HAProxy check a configuration before it takes the place of the one in use."""
    candidate = folder / "haproxy.cfg.new"
    write_whole(candidate, text, mode=0o600)
    done = _run(["haproxy", "-c", "-f", candidate.name], folder)
    candidate.unlink()
    if done.returncode:
        raise TrafficError(
            "HAProxy refuses the configuration rendered for it",
            facts=(done.stdout + done.stderr).strip().splitlines(),
            todo="Look at the routes in the stack file.",
        )


def _start(folder: Path) -> None:
    master = find_master(folder)
    config, pidfile = folder / "haproxy.cfg", folder / "pid"
    command = ["haproxy", "-W", "-D", "-p", str(pidfile), "-S", f"{master},mode,600"]
    done = _run([*command, "-f", str(config)], folder, log=folder / "haproxy.log")
    if done.returncode:
        raise _did_not_start(folder)
    # Its master writes its pid only after the command that started it has returned.
    record = folder / "process.json"
    record.unlink(missing_ok=True)
    process = wait_until(
        "the start of the balancer",
        _RELOAD_SECONDS,
        lambda: read_process(record, pidfile, folder),
        every=0.02,
        stoppable=False,  # What runs has to be recorded.
    )
    if process is None:
        raise _did_not_start(folder)
    write_process(record, process)


def _run(
    command: list[str], folder: Path, log: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run HAProxy in the balancer's folder; what goes to the background keeps only the log.

    It lives as long as the stack, so it gets nothing of the user's environment.
    """
    environment = make_daemon_environment()
    try:
        if log is None:
            return subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
        with log.open("a") as said:
            return subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
                start_new_session=True,
                check=False,
            )
    except FileNotFoundError as error:
        raise SetupError(
            "haproxy is missing", todo="Run ./immutable doctor, or install haproxy."
        ) from error


def _wait_until_running(folder: Path, digest: str) -> None:
    """Wait until the current worker says that it runs the configuration of this digest."""
    master = find_master(folder)

    def is_running() -> bool:
        with suppress(TrafficError):  # It may take longer than one question may.
            return find_config_digest(master) == digest
        return False

    # Also while the run stops: the files have to say what runs.
    what, seconds = "the reload of the balancer", _RELOAD_SECONDS
    if not wait_until(what, seconds, is_running, every=0.05, stoppable=False):
        raise _did_not_start(folder)


def _did_not_start(folder: Path) -> TrafficError:
    log = folder / "haproxy.log"
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
    return TrafficError(
        "HAProxy does not run the configuration rendered for it",
        facts=[*lines, f"log: {log}"],
        todo="The log's last lines say why; run the update again afterwards.",
    )
