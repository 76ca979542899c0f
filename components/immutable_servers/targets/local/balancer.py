"""A stack's HAProxy: the groups of servers that it knows, and its pointers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.values import Answers, Member, Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_whole
from immutable_servers.system.processes import Process, end_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_socket, layout
from immutable_servers.targets.local.haproxy_config import MAP, Backend, render_map
from immutable_servers.targets.local.haproxy_process import (
    apply,
    find_master,
    find_pointers,
    find_running,
    read_parts,
)
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.settings import LocalSettings

_LOCK_SECONDS = 60.0
_END_SECONDS = 10.0
_IN_USE = ("UP", "no check")
"""How the states begin of servers that HAProxy sends requests."""


class LocalBalancer(Balancer):
    """HAProxy on 127.0.0.1; its state is read from the running process, else from its files."""

    drain_poll = 0.25

    def __init__(self, settings: LocalSettings) -> None:
        self.settings = settings

    def find_weights(self, scope: Scope) -> Mapping[str, int]:
        """Ask HAProxy, or its file while it does not run."""
        weights = find_pointers(layout.balancer_dir(scope)).get(scope.service, {})
        return {name.rpartition("-")[2]: weight for name, weight in weights.items()}

    def find_members(self, scope: Scope) -> Mapping[str, Member]:
        """Ask the current worker; none while HAProxy does not run."""
        if not self.find_process(scope):
            return {}
        master = find_master(layout.balancer_dir(scope))
        states = haproxy_socket.find_servers_state(master, layout.backend_name(scope))
        return {name: Member(state.startswith(_IN_USE), state) for name, state in states.items()}

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask every worker."""
        if not self.find_process(scope):
            return {}
        master = find_master(layout.balancer_dir(scope))
        return haproxy_socket.count_answers(master, layout.backend_name(scope))

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return an address on this machine; a host's name is the user's to resolve."""
        del scope
        return f"http://{route.host or LOOPBACK}:{self.give_port(route).port}"

    def give_port(self, route: Route) -> Route:
        """Return a route with its port: that of a host name is the shared one."""
        return route if route.port else replace(route, port=self.settings.shared_port)

    def set_traffic(self, scope: Scope, weights: Mapping[str, int]) -> None:
        """Replace HAProxy's map and read it back, while no other run changes the balancer."""
        if any(weights.values()) and not self.find_process(scope):
            raise TrafficError(
                f"Traffic of {scope.service} cannot be set: the balancer does not run",
                todo="Run ./immutable up again: it starts the balancer.",
            )
        if layout.balancer_dir(scope).exists():
            with _hold(layout.balancer_dir(scope)):
                super().set_traffic(scope, weights)

    def _point(self, scope: Scope, weights: Mapping[str, int]) -> None:
        folder = layout.balancer_dir(scope)
        wanted = {f"{scope.service}-{generation}": weight for generation, weight in weights.items()}
        pointers = {**find_pointers(folder), scope.service: wanted}
        if self.find_process(scope):
            haproxy_socket.write_pointers(find_master(folder), pointers)
        write_whole(folder / MAP, render_map(pointers), mode=0o600)

    def _count_open(self, scope: Scope) -> int:
        if not self.find_process(scope):
            return 0
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)
        # An earlier worker that points there may get a request more on a connection it has.
        stale = haproxy_socket.find_stale_workers(master, backend)
        return haproxy_socket.count_sessions(master, backend) or len(stale)

    def start(self, scope: Scope, routes: Sequence[Route]) -> None:
        """Start the stack's HAProxy with these routes, or give them to the running one.

        Raises:
            TrafficError: A port is somebody else's, or HAProxy refuses the configuration.
            SetupError: There is no HAProxy.
        """
        folder = layout.balancer_dir(scope)
        with _hold(folder):
            _, backends = read_parts(folder)
            apply(folder, routes, backends, start=True)

    def stop(self, scope: Scope) -> None:
        """End the stack's HAProxy and remove its folder; a missing one is no error."""
        folder = layout.balancer_dir(scope)
        if folder.exists():
            with _hold(folder):
                end_process(self.find_process(scope), _END_SECONDS)
                layout.remove_folder(folder)
        layout.remove_empty_folders(scope)

    def find_process(self, scope: Scope) -> Process | None:
        """Return the identity of the stack's running HAProxy, or None."""
        return find_running(layout.balancer_dir(scope))

    def register(self, scope: Scope, health: str, servers: Mapping[str, int]) -> None:
        """Make a generation's servers known to the balancer; they get no traffic by that.

        A balancer that does not run takes them when it is started.

        Args:
            scope: The generation's.
            health: Path of the health check.
            servers: Server name to port.
        """
        folder = layout.balancer_dir(scope)
        with _hold(folder):
            routes, backends = read_parts(folder)
            mine = Backend(layout.backend_name(scope), health, dict(servers))
            kept = [backend for backend in backends if backend.name != mine.name]
            if mine not in backends or self.find_process(scope):
                apply(folder, routes, [*kept, mine])

    def remove(self, scope: Scope) -> None:
        """Make the balancer forget a generation; an unknown one is no error."""
        folder = layout.balancer_dir(scope)
        if not folder.exists():
            return
        with _hold(folder):
            routes, backends = read_parts(folder)
            name = layout.backend_name(scope)
            kept = [backend for backend in backends if backend.name != name]
            if kept != backends:
                apply(folder, routes, kept)

    def drain_servers(self, scope: Scope, names: Sequence[str], seconds: float) -> None:
        """Wait until earlier workers have no request left for servers that left their group.

        Draining is not cut short (docs/decisions/0013).
        """
        if not (names and self.find_process(scope)):
            return
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)

        def is_drained() -> bool:
            return not haproxy_socket.count_sessions(master, backend, names)

        what = f"draining {', '.join(names)}"
        wait_until(what, seconds, is_drained, every=self.drain_poll, stoppable=False)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    # Also while the run stops: a canary gives its traffic back then.
    with hold_lock(folder / "lock", _LOCK_SECONDS, "the balancer", stoppable=False):
        yield
