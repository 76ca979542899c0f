"""A stack's balancer: its HAProxy, the groups of servers that it knows, and its pointers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import not_
from pathlib import Path

from immutable_servers.contract.values import Answers, Route, Say, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_whole
from immutable_servers.system.processes import Process, end_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_socket, layout
from immutable_servers.targets.local.haproxy_config import MAP, SLOTS, Backend, render_map
from immutable_servers.targets.local.haproxy_process import (
    apply,
    find_master,
    find_pointers,
    find_running,
    read_parts,
)

_LOCK_SECONDS = 60.0
_END_SECONDS = 10.0


def start_balancer(scope: Scope, routes: Sequence[Route]) -> None:
    """Start the stack's HAProxy with these routes, or give the running one these routes.

    Raises:
        TrafficError: A port is somebody else's, or HAProxy refuses the configuration.
        SetupError: There is no HAProxy.
    """
    folder = layout.balancer_dir(scope)
    with _hold(folder):
        _, backends = read_parts(folder)
        apply(folder, routes, backends, start=True)


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
    return find_running(layout.balancer_dir(scope))


def register_backend(scope: Scope, health: str, servers: Mapping[str, int]) -> None:
    """Make a generation's servers known to the balancer; it gets no traffic by that.

    A balancer that does not run takes them when it is started.
    """
    folder = layout.balancer_dir(scope)
    with _hold(folder):
        routes, backends = read_parts(folder)
        mine = Backend(layout.backend_name(scope), health, dict(servers))
        kept = [backend for backend in backends if backend.name != mine.name]
        if mine not in backends or find_balancer(scope):
            apply(folder, routes, [*kept, mine])


def remove_backend(scope: Scope) -> None:
    """Make the balancer forget a generation; an unknown one is no error."""
    folder = layout.balancer_dir(scope)
    if not folder.exists():
        return
    with _hold(folder):
        routes, backends = read_parts(folder)
        kept = [one for one in backends if one.name != layout.backend_name(scope)]
        if kept != backends:
            apply(folder, routes, kept)


def find_traffic(scope: Scope) -> dict[str, int]:
    """Return a service's generations by weight: from the running balancer, else from its file.

    Raises:
        TrafficError: The balancer runs and does not answer.
    """
    weights = find_pointers(layout.balancer_dir(scope)).get(scope.service, {})
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
        _, backends = read_parts(folder)
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
        pointers = {**find_pointers(folder), scope.service: wanted}
        if find_balancer(scope):
            haproxy_socket.write_pointers(find_master(folder), pointers)
        elif wanted:
            raise TrafficError(
                f"Traffic of {scope.service} cannot be set: the balancer does not run",
                todo="Run ./immutable up again: it starts the balancer.",
            )
        write_whole(folder / MAP, render_map(pointers), mode=0o600)


def find_members(scope: Scope) -> dict[str, str]:
    """Return the servers that the balancer's group for a generation holds, with their state."""
    folder = layout.balancer_dir(scope)
    if not find_balancer(scope):
        return {}
    return haproxy_socket.find_servers_state(find_master(folder), layout.backend_name(scope))


def find_answers(scope: Scope) -> dict[str, Answers]:
    """Return what a generation answered, by worker."""
    if not find_balancer(scope):
        return {}
    master = find_master(layout.balancer_dir(scope))
    return haproxy_socket.count_answers(master, layout.backend_name(scope))


def drain(scope: Scope, seconds: float, say: Say) -> None:
    """Wait until a generation without traffic has no request, in no worker, or time is over."""
    folder, backend = layout.balancer_dir(scope), layout.backend_name(scope)
    if not find_balancer(scope):
        return

    def count() -> int:
        master = find_master(folder)
        # An earlier worker that points there may get a request more on a connection it has.
        stale = haproxy_socket.find_stale_workers(master, backend)
        return haproxy_socket.count_sessions(master, backend) or len(stale)

    left = _wait_for_none(count, seconds)
    say(f"waited for {seconds:.0f} s, connections left: {left}" if left else "drained")


def drain_servers(scope: Scope, names: Sequence[str], seconds: float) -> None:
    """Wait until servers that left their group have no request of earlier workers any more."""
    if names and find_balancer(scope):
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)
        _wait_for_none(lambda: haproxy_socket.count_sessions(master, backend, names), seconds)


def _wait_for_none(count: Callable[[], int], seconds: float) -> int:
    """Wait until `count` returns 0, or time is over; return what it returned last.

    Draining is not cut short (docs/decisions/0013).
    """
    return wait_until("draining", seconds, count, done=not_, every=0.25, stoppable=False)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    # Also while the run stops: a canary gives its traffic back then.
    with hold_lock(folder / "lock", _LOCK_SECONDS, "the balancer", stoppable=False):
        yield
