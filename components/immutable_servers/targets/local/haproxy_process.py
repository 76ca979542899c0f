"""Starts HAProxy with a configuration, or reloads it without a lost request.

```
balancer.json   routes and backends: what the configuration is rendered from
haproxy.cfg     rendered, and checked by HAProxy before it is used
traffic.map     the pointers, as the running HAProxy last said them
haproxy.log     what HAProxy printed
process.json    the identity of its master process
```
The running balancer is the truth: before it is reloaded the map file is written from what it says.
"""

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from immutable_servers.contract.values import Route
from immutable_servers.errors import SetupError, TrafficError
from immutable_servers.system import places
from immutable_servers.system.files import read_json, write_json, write_whole
from immutable_servers.system.processes import Process, read_process, signal_process, write_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_socket
from immutable_servers.targets.local.haproxy_config import (
    MAP,
    Backend,
    digest_of,
    parse_map,
    render_config,
    render_map,
)
from immutable_servers.targets.local.ports import LOOPBACK, find_listener, is_free

_RELOAD_SECONDS = 20.0
_LOG_LINES = 15


def find_running(folder: Path) -> Process | None:
    """Return the identity of the HAProxy that runs in a balancer's folder, or None."""
    return read_process(folder / "process.json", folder / "pid", folder)


def find_master(folder: Path) -> Path:
    """Return the path of the master's socket."""
    return places.runtime_dir(folder) / "master"


def read_parts(folder: Path) -> tuple[list[Route], list[Backend]]:
    """Return the routes and backends that a balancer was made of last."""
    found = read_json(folder / "balancer.json") or {"routes": [], "backends": []}
    routes = [Route.from_plain(route) for route in found["routes"]]
    return routes, [Backend(**backend) for backend in found["backends"]]


def find_pointers(folder: Path) -> dict[str, dict[str, int]]:
    """Return service to backend to weight: from what runs, else from the file."""
    if find_running(folder):
        master = find_master(folder)
        return haproxy_socket.find_pointers(master, haproxy_socket.find_workers(master).current)
    with suppress(FileNotFoundError):
        return parse_map((folder / MAP).read_text())
    return {}


def apply(
    folder: Path, routes: Sequence[Route], backends: Sequence[Backend], *, start: bool = False
) -> None:
    """Write the configuration, and have HAProxy run it; only checked ones take effect."""
    folder.mkdir(parents=True, exist_ok=True)
    running = find_running(folder)
    before = {route.port for route in read_parts(folder)[0]} if running else set()
    _check_ports({route.port for route in routes} - before)
    write_whole(folder / MAP, render_map(find_pointers(folder)), mode=0o600)
    text = render_config(routes, backends, places.runtime_dir(folder) / "stats")
    _check_config(folder, text)
    config = folder / "haproxy.cfg"
    earlier = config.read_text() if config.exists() else ""
    write_whole(config, text, mode=0o600)
    try:
        if running and digest_of(text) != haproxy_socket.find_config_digest(find_master(folder)):
            signal_process(running, signal.SIGUSR2)
            _wait_until_running(folder, digest_of(text))
        elif start and not running:
            _start(folder)
            _wait_until_running(folder, digest_of(text))
    except TrafficError:
        if running:  # What runs on is the earlier configuration: the files say so too.
            write_whole(config, earlier, mode=0o600)
        raise
    plain = {"routes": list(map(asdict, routes)), "backends": list(map(asdict, backends))}
    write_json(folder / "balancer.json", plain)


def _check_ports(ports: set[int]) -> None:
    for port in sorted(ports):
        if not is_free(port):
            listener = find_listener(port) or "a process that this user cannot see"
            raise TrafficError(
                f"The balancer's port {port} is in use by somebody else",
                facts=[f"{LOOPBACK}:{port}: {listener}"],
                todo="End that process, or set another route port in the stack file.",
            )


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
    """Run HAProxy in the balancer's folder; what goes to the background keeps only the log."""
    try:
        if log is None:
            return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        with log.open("a") as said:
            return subprocess.run(
                command,
                cwd=folder,
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
        with suppress(TrafficError):  # The master's socket is away for a moment in a reload.
            return haproxy_socket.find_config_digest(master) == digest
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
