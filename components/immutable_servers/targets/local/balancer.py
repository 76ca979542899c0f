"""One HAProxy for each stack: started, reloaded without a lost request, pointed, stopped.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import tenacity

from immutable_servers import places
from immutable_servers.errors import SetupError, TrafficError
from immutable_servers.processes import (
    Process,
    end_process,
    read_process,
    signal_process,
    write_process,
)
from immutable_servers.targets.contract import Answers, Route, Say, Scope
from immutable_servers.targets.local import layout, runtime
from immutable_servers.targets.local.haproxy import (
    MAP,
    SLOTS,
    Backend,
    digest_of,
    parse_map,
    render_config,
    render_map,
)
from immutable_servers.targets.local.locks import hold_lock
from immutable_servers.targets.local.ports import LOOPBACK, find_listener, is_free

_LOCK_SECONDS = 60.0
_RELOAD_SECONDS = 20.0
_END_SECONDS = 10.0
_LOG_LINES = 15


def start_balancer(scope: Scope, routes: Sequence[Route]) -> None:
    """Start the stack's HAProxy with these routes, or give the running one these routes.

    Raises:
        TrafficError: A port is somebody else's, or HAProxy refuses the configuration.
        SetupError: There is no HAProxy.
    """
    folder = layout.balancer_dir(scope)
    with _hold(folder):
        _, backends = _read(folder)
        _apply(folder, routes, backends, start=True)


def stop_balancer(scope: Scope) -> None:
    """End the stack's HAProxy and remove its folder; a missing one is no error."""
    folder = layout.balancer_dir(scope)
    if folder.exists():
        with _hold(folder):
            end_process(find_balancer(scope), _END_SECONDS)
            layout.remove_folder(folder)
    layout.remove_empty_folders(scope)


def find_balancer(scope: Scope) -> Process | None:
    """Return the identity of the stack's running HAProxy, or None."""
    folder = layout.balancer_dir(scope)
    return read_process(folder / "process.json", folder / "pid", folder)


def register_backend(scope: Scope, health: str, servers: Mapping[str, int]) -> None:
    """Make a generation's servers known to the balancer; it gets no traffic by that.

    A balancer that does not run takes them when it is started.
    """
    folder = layout.balancer_dir(scope)
    with _hold(folder):
        routes, backends = _read(folder)
        mine = Backend(layout.backend_name(scope), health, dict(servers))
        kept = [backend for backend in backends if backend.name != mine.name]
        if mine not in backends or find_balancer(scope):
            _apply(folder, routes, [*kept, mine])


def remove_backend(scope: Scope) -> None:
    """Make the balancer forget a generation; an unknown one is no error."""
    folder = layout.balancer_dir(scope)
    if not folder.exists():
        return
    with _hold(folder):
        routes, backends = _read(folder)
        kept = [one for one in backends if one.name != layout.backend_name(scope)]
        if kept != backends:
            _apply(folder, routes, kept)


def find_traffic(scope: Scope) -> dict[str, int]:
    """Return a service's generations by weight: from the running balancer, else from its file.

    Raises:
        TrafficError: The balancer runs and does not answer.
    """
    weights = _find_pointers(layout.balancer_dir(scope)).get(scope.service, {})
    return {name.rpartition("-")[2]: weight for name, weight in weights.items()}


def set_traffic(scope: Scope, weights: Mapping[str, int]) -> None:
    """Point a service at generations by weight (100 in all), or at none, and confirm it.

    Raises:
        TrafficError: A generation is unknown to the balancer, the weights are not 100 in all, the
            balancer does not run, or it says something else afterwards.
    """
    folder = layout.balancer_dir(scope)
    if not weights and not folder.exists():
        return
    with _hold(folder):
        wanted = {f"{scope.service}-{one}": weight for one, weight in weights.items() if weight}
        _, backends = _read(folder)
        unknown = set(wanted) - {backend.name for backend in backends}
        if unknown or (wanted and sum(wanted.values()) != SLOTS):
            raise TrafficError(
                f"Traffic of {scope.service} cannot be set to {dict(weights)}",
                facts=[
                    f"unknown to the balancer: {', '.join(sorted(unknown)) or 'none'}",
                    f"weights in all: {sum(wanted.values())}, wanted {SLOTS}",
                ],
                todo="Run ./immutable up again: it starts what is missing.",
            )
        pointers = {**_find_pointers(folder), scope.service: wanted}
        if find_balancer(scope):
            runtime.write_pointers(find_master(folder), pointers)
        elif wanted:
            raise TrafficError(
                f"Traffic of {scope.service} cannot be set: the balancer does not run",
                todo="Run ./immutable up again: it starts the balancer.",
            )
        layout.write_private(folder / MAP, render_map(pointers))


def find_members(scope: Scope) -> dict[str, str]:
    """Return the servers that the balancer's group for a generation holds, with their state."""
    folder = layout.balancer_dir(scope)
    if not find_balancer(scope):
        return {}
    return runtime.find_servers_state(find_master(folder), layout.backend_name(scope))


def find_answers(scope: Scope) -> dict[str, Answers]:
    """Return what a generation answered, by worker."""
    if not find_balancer(scope):
        return {}
    master = find_master(layout.balancer_dir(scope))
    return runtime.count_answers(master, layout.backend_name(scope))


def drain(scope: Scope, seconds: float, say: Say) -> None:
    """Wait until a generation without traffic has no request, in no worker, or time is over."""
    folder, backend = layout.balancer_dir(scope), layout.backend_name(scope)
    if not find_balancer(scope):
        return

    def count() -> int:
        master = find_master(folder)
        # An earlier worker that points there may get a request more on a connection it has.
        stale = runtime.find_stale_workers(master, backend)
        return runtime.count_sessions(master, backend) or len(stale)

    left = _wait_for_none(count, seconds)
    say(f"waited for {seconds:.0f} s, connections left: {left}" if left else "drained")


def drain_servers(scope: Scope, names: Sequence[str], seconds: float) -> None:
    """Wait until servers that left their group have no request of earlier workers any more."""
    if names and find_balancer(scope):
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)
        _wait_for_none(lambda: runtime.count_sessions(master, backend, names), seconds)


def find_master(folder: Path) -> Path:
    """Return the path of the master's socket."""
    return places.runtime_dir(folder) / "master"


def _wait_for_none(count: Callable[[], int], seconds: float) -> int:
    """Wait until `count` returns 0, or time is over; return what it returned last."""
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        wait=tenacity.wait_fixed(0.25),
        stop=tenacity.stop_after_delay(seconds),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else 0,
    )
    return attempts(count)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    with hold_lock(folder / "lock", _LOCK_SECONDS, "the balancer"):
        yield


def _read(folder: Path) -> tuple[list[Route], list[Backend]]:
    found = layout.read_json(folder / "balancer.json") or {"routes": [], "backends": []}
    routes = [Route.from_plain(route) for route in found["routes"]]
    return routes, [Backend(**backend) for backend in found["backends"]]


def _find_pointers(folder: Path) -> dict[str, dict[str, int]]:
    if read_process(folder / "process.json", folder / "pid", folder):
        master = find_master(folder)
        return runtime.find_pointers(master, runtime.find_workers(master).current)
    with suppress(FileNotFoundError):
        return parse_map((folder / MAP).read_text())
    return {}


def _apply(
    folder: Path, routes: Sequence[Route], backends: Sequence[Backend], *, start: bool = False
) -> None:
    """Write the configuration, and have HAProxy run it; only checked ones take effect."""
    folder.mkdir(parents=True, exist_ok=True)
    running = read_process(folder / "process.json", folder / "pid", folder)
    before = {route.port for route in _read(folder)[0]} if running else set()
    _check_ports({route.port for route in routes} - before)
    layout.write_private(folder / MAP, render_map(_find_pointers(folder)))
    text = render_config(routes, backends, places.runtime_dir(folder) / "stats")
    _check_config(folder, text)
    config = folder / "haproxy.cfg"
    earlier = config.read_text() if config.exists() else ""
    layout.write_private(config, text)
    try:
        if running and digest_of(text) != runtime.find_config_digest(find_master(folder)):
            signal_process(running, signal.SIGUSR2)
            _wait_until_running(folder, digest_of(text))
        elif start and not running:
            _start(folder)
            _wait_until_running(folder, digest_of(text))
    except TrafficError:
        if running:  # What runs on is the earlier configuration: the files say so too.
            layout.write_private(config, earlier)
        raise
    plain = {"routes": list(map(asdict, routes)), "backends": list(map(asdict, backends))}
    layout.write_json(folder / "balancer.json", plain)


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
    layout.write_private(candidate, text)
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
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: found is None),
        wait=tenacity.wait_fixed(0.02),
        stop=tenacity.stop_after_delay(_RELOAD_SECONDS),
        retry_error_callback=lambda _state: None,
    )
    process = attempts(read_process, record, pidfile, folder)
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

    def find() -> str:
        with suppress(TrafficError):  # The master's socket is away for a moment in a reload.
            return runtime.find_config_digest(master)
        return ""

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda found: found != digest),
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(_RELOAD_SECONDS),
        retry_error_callback=lambda _state: "",
    )
    if attempts(find) != digest:
        raise _did_not_start(folder)


def _did_not_start(folder: Path) -> TrafficError:
    log = folder / "haproxy.log"
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:] if log.exists() else []
    return TrafficError(
        "HAProxy does not run the configuration rendered for it",
        facts=[*lines, f"log: {log}"],
        todo="The log's last lines say why; run the update again afterwards.",
    )
