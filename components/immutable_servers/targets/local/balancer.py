"""A stack's HAProxy: the groups of servers that it knows, and its pointers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.values import Answers, Member, Route, Scope
from immutable_servers.errors import TrafficError
from immutable_servers.system.file_locks import hold_lock
from immutable_servers.system.files import write_whole
from immutable_servers.system.processes import Process, end_process
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import haproxy_pointers, haproxy_stats, layout
from immutable_servers.targets.local.haproxy_config import LIMITS, MAP, Backend, Limits, render_map
from immutable_servers.targets.local.haproxy_process import (
    Parts,
    apply,
    find_master,
    find_pointers,
    find_running,
    read_parts,
)
from immutable_servers.targets.local.machines import find_machine_process
from immutable_servers.targets.local.ports import LOOPBACK, find_owner
from immutable_servers.targets.local.route_ports import refuse_taken
from immutable_servers.targets.local.settings import LocalSettings
from immutable_servers.targets.shared.health import ANSWER_SECONDS

_LOCK_SECONDS = 60.0
_END_SECONDS = 10.0
_ASKED_SECONDS = ANSWER_SECONDS + 2.0
"""How long HAProxy may take to ask a server that it did not know, and to get its answer."""


class LocalBalancer(Balancer):
    """HAProxy on 127.0.0.1; its state is read from the running process, else from its files."""

    drain_poll = 0.25
    settle = 0.5
    """A map that `set map` or a transaction changed holds from the next request on:
    https://docs.haproxy.org/3.0/management.html#9.3"""
    settle_poll = 0.1

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
        return haproxy_stats.find_members(master, layout.backend_name(scope))

    def find_answers(self, scope: Scope) -> Mapping[str, Answers]:
        """Ask every worker."""
        if not self.find_process(scope):
            return {}
        master = find_master(layout.balancer_dir(scope))
        return haproxy_stats.count_answers(master, layout.backend_name(scope))

    def find_address(self, route: Route, scope: Scope) -> str:
        """Return an address on this machine; a host's name is the user's to resolve."""
        del scope
        return f"http://{route.host or LOOPBACK}:{self.give_port(route).port}"

    def find_front(self, route: Route, scope: Scope) -> str:
        """Return the address on this machine, whatever a host name leads to."""
        return self.find_address(replace(self.give_port(route), host=""), scope)

    def give_port(self, route: Route) -> Route:
        """Return a route with its port: that of a host name is the shared one."""
        return route if route.port else replace(route, port=self.settings.shared_port)

    def refuse_routes(self, scope: Scope, routes: Sequence[Route]) -> None:
        """Refuse a port that another stack or process has, or that this user may not have."""
        folder = layout.balancer_dir(scope)
        held = (
            {route.port for route in read_parts(folder).routes} if self.find_process(scope) else ()
        )
        refuse_taken({self.give_port(route).port for route in routes}.difference(held), folder)

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
            haproxy_pointers.write_pointers(find_master(folder), pointers)
        write_whole(folder / MAP, render_map(pointers), mode=0o600)

    def _count_open(self, scope: Scope) -> int:
        if not self.find_process(scope):
            return 0
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)
        return haproxy_stats.count_sessions(master, backend) or haproxy_stats.count_clients(
            master, backend
        )

    def start(self, scope: Scope, routes: Sequence[Route], limits: Limits = LIMITS) -> None:
        """Start the stack's HAProxy with routes and limits, or give them to the running one.

        Raises:
            TrafficError: A port is somebody else's, or HAProxy refuses the configuration.
            SetupError: There is no HAProxy.
        """
        folder = layout.balancer_dir(scope)
        with _hold(folder):
            backends = read_parts(folder).backends
            if not self.find_process(scope):
                backends = [_leave_out_dead(backend) for backend in backends]
            apply(folder, Parts(routes, backends, limits), start=True)

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
        """Make a generation's servers known to the balancer, which asks each for its health.

        They get no traffic by that. A balancer that does not run takes them when it is started.

        Args:
            scope: The generation's.
            health: Path of the health check.
            servers: Server name to port.
        """
        folder = layout.balancer_dir(scope)
        with _hold(folder):
            parts = read_parts(folder)
            mine = Backend(layout.backend_name(scope), health, dict(servers))
            kept = [backend for backend in parts.backends if backend.name != mine.name]
            if mine not in parts.backends or self.find_process(scope):
                apply(folder, replace(parts, backends=[*kept, mine]))
        what = f"the first check of {scope.name}"
        look = partial(self._are_asked, scope)
        wait_until(what, _ASKED_SECONDS, look, every=0.05, stoppable=False)

    def _are_asked(self, scope: Scope) -> bool:
        if not self.find_process(scope):
            return True
        master = find_master(layout.balancer_dir(scope))
        return not haproxy_stats.find_unasked(master, layout.backend_name(scope))

    def remove(self, scope: Scope) -> None:
        """Make the balancer forget a generation; an unknown one is no error."""
        folder = layout.balancer_dir(scope)
        if not folder.exists():
            return
        with _hold(folder):
            parts, name = read_parts(folder), layout.backend_name(scope)
            kept = [backend for backend in parts.backends if backend.name != name]
            if kept != parts.backends:
                apply(folder, replace(parts, backends=kept))

    def drain_servers(self, scope: Scope, names: Sequence[str], seconds: float) -> None:
        """Wait until earlier workers have no request left for servers that left their group.

        It is not cut short: they are ended right after it, also while the run stops.
        """
        if not (names and self.find_process(scope)):
            return
        master, backend = find_master(layout.balancer_dir(scope)), layout.backend_name(scope)

        def is_drained() -> bool:
            return not haproxy_stats.count_sessions(master, backend, names)

        what = f"draining {', '.join(names)}"
        wait_until(what, seconds, is_drained, every=self.drain_poll, stoppable=False)


def _leave_out_dead(backend: Backend) -> Backend:
    """Return a generation without the servers that do not run: another's may be their port by now.

    After a restart of this machine nobody holds them. Each comes back when it is started again.
    """
    owners = {name: find_owner(port) for name, port in backend.servers.items()}
    running = {
        name: port
        for name, port in backend.servers.items()
        if not owners[name] or find_machine_process(Path(owners[name]))
    }
    return replace(backend, servers=running)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    # Also while the run stops: a canary gives its traffic back then.
    with hold_lock(folder / "lock", _LOCK_SECONDS, "the balancer", stoppable=False):
        yield
