"""Health checks: which machines of which backend service, and of which group, pass them.

A backend service is checked while a URL map refers to it, and a group while it heals by a check.
Checks come from Google's ranges: a machine whose firewall does not let these in fails.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clouds.gcp.emulation.calls import Call, answers
from clouds.gcp.emulation.links import make_link, read_path
from clouds.gcp.emulation.machines import CHECKER, Machines, find_machines
from clouds.gcp.emulation.managers import find_instance_group, find_managers
from clouds.gcp.emulation.routing import list_services
from clouds.gcp.emulation.store import Thing
from clouds.gcp.emulation.world import World
from clouds.shared.cloud_guest import Guest
from clouds.shared.cloud_machine import Machine
from clouds.shared.cloud_wire import Message, read_message

AGENT = "GoogleHC/1.0"
SELDOM = 5
SHORTEST = 1.0
"""How long an answer may take at least: this machine may be slow."""
HEALING = "healing"
"""The first word of the keys of checks that groups heal by."""
Place = tuple[str, int]


@dataclass(frozen=True)
class Check:
    """What is asked of a machine, and how often it has to pass or fail."""

    name: str
    address: str
    port: int
    path: str
    host: str
    healthy: int
    unhealthy: int
    seconds: float

    @property
    def place(self) -> Place:
        """Where requests go."""
        return self.address, self.port


@dataclass
class Target:
    """What is known of a machine."""

    check: Check
    group: str
    serving: Place
    state: str = "UNHEALTHY"
    passed: int = 0
    failed: int = 0
    task: Any = None

    @property
    def is_known(self) -> bool:
        """Whether it has passed or failed often enough."""
        return self.passed >= self.check.healthy or self.failed >= self.check.unhealthy

    def take(self, *, ok: bool) -> bool:
        """Count a check; tell whether the state is another one now."""
        before = self.state
        self.passed, self.failed = (self.passed + 1, 0) if ok else (0, self.failed + 1)
        if self.passed >= self.check.healthy:
            self.state = "HEALTHY"
        if self.failed >= self.check.unhealthy:
            self.state = "UNHEALTHY"
        return self.state != before


class Health:
    """The health checks.

    Attributes:
        targets: What is checked.
        places: Where requests for a backend service go, by its path: to what is healthy.
        used: Since when a backend service is referred to, by its path.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.targets: dict[tuple[str, str], Target] = {}
        self.places: Mapping[str, tuple[Place, ...]] = {}
        self.used: dict[str, float] = {}
        self.publishing = threading.Lock()
        self.seen: object = None

    def settle(self) -> None:
        """Check what is to be checked now."""
        managers, machines = find_managers(self.world), find_machines(self.world)
        groups = managers.groups.values()
        actions = tuple(one.action for group in groups for one in group.machines.values())
        seen = (self.world.store.changes, actions)
        if seen == self.seen:
            return
        self.seen = seen
        wanted = {
            (service, path): target
            for service, path, target in [
                *self._list_wanted(machines),
                *self._list_healing(machines),
            ]
        }
        for key in [key for key in self.targets if key not in wanted]:
            self._stop(self.targets.pop(key))
        for key, target in wanted.items():
            before = self.targets.get(key)
            if before is None or before.check != target.check:
                if before:
                    self._stop(before)
                self.targets[key] = target
                self._start(key, target, machines)
        self._publish()

    def end(self) -> None:
        """Check nothing any more."""
        for target in self.targets.values():
            self._stop(target)

    # what is checked
    def _list_wanted(self, machines: Machines) -> Iterator[tuple[str, str, Target]]:
        store = self.world.store
        used = {*list_used(self.world)}
        now = time.monotonic()
        self.used = {path: self.used.get(path, now) for path in used}
        for path in used:
            service = store.find(path) or {}
            checks = service.get("healthChecks") or [""]
            for backend in service.get("backends", ()):
                group = read_path(backend["group"], "")
                port = find_port(store.find(group), service.get("portName", "http"))
                for one in find_managers(self.world).list_serving(group):
                    check = self._read_check(checks[0], one, port, machines)
                    if check:
                        yield path, one, Target(check, group, (check.address, port))

    def _list_healing(self, machines: Machines) -> Iterator[tuple[str, str, Target]]:
        for path, manager in self.world.store.list_all("instanceGroupManagers").items():
            for policy in manager.get("autoHealingPolicies", ()):
                group = find_instance_group(path)
                port = find_port(self.world.store.find(group), "http")
                for one in find_managers(self.world).list_serving(group):
                    check = self._read_check(policy.get("healthCheck", ""), one, port, machines)
                    if check:
                        yield HEALING, one, Target(check, group, check.place)

    def _read_check(self, link: str, path: str, port: int, machines: Machines) -> Check | None:
        """Return the check of a machine; None while it does not run."""
        machine, check = machines.running.get(path), self.world.store.find(read_path(link, ""))
        if machine is None or check is None:
            return None
        words = check.get("httpHealthCheck", {})
        return Check(
            path.rpartition("/")[2],
            machine.address,
            int(words.get("port") or port),
            words.get("requestPath", "/"),
            words.get("host", machine.address),
            int(check.get("healthyThreshold", 2)),
            int(check.get("unhealthyThreshold", 2)),
            float(check.get("timeoutSec", 5)),
        )

    # checking
    def _start(self, key: tuple[str, str], target: Target, machines: Machines) -> None:
        machine = machines.running[key[1]]
        for port in {target.check.port, target.serving[1]} - {0}:
            machine.listen(port)
        watching = self._watch(key, target, machines, machine)
        target.task = asyncio.run_coroutine_threadsafe(watching, machines.traffic)

    @staticmethod
    def _stop(target: Target) -> None:
        if target.task is not None:
            target.task.cancel()

    async def _watch(
        self, key: tuple[str, str], target: Target, machines: Machines, machine: Machine | Guest
    ) -> None:
        source, check = f"{self.world.network}.{CHECKER}", target.check
        while True:
            manners, port = self.world.manners, machine.find_port(check.port)
            ok = machines.lets_in(check.name, source, check.port)
            seconds = max(check.seconds * manners.pace, SHORTEST)
            if target.take(ok=ok and await ask(source, check, port, seconds)):
                self._publish()
            if key[0] == HEALING and target.is_known:
                find_managers(self.world).sick[key[1]] = target.state != "HEALTHY"
            slow = SELDOM if target.state == "HEALTHY" else max(1, machine.every // SELDOM)
            await asyncio.sleep(manners.check * slow)

    def _publish(self) -> None:
        """Have the front ends know where to go."""
        with self.publishing:
            self.places = self._find_places()

    def _find_places(self) -> dict[str, tuple[Place, ...]]:
        found: dict[str, list[Place]] = {}
        for (service, path), target in [*self.targets.items()]:
            machine = find_machines(self.world).running.get(path)
            if service != HEALING and target.state == "HEALTHY" and machine:
                address, port = target.serving
                found.setdefault(service, []).append((address, machine.find_port(port)))
        return {service: tuple(places) for service, places in found.items()}

    # what the API says
    def describe(self, service: str, group: str) -> list[dict[str, Any]]:
        """Return the health of a backend service's machines; nothing in the first moments."""
        manners, since = self.world.manners, self.used.get(service)
        blind = manners.blind * manners.draw("blind", service)
        if since is None or time.monotonic() - since < blind:
            return []
        return [
            {
                "instance": make_link(path),
                "ipAddress": target.check.address,
                "port": target.serving[1],
                "healthState": target.state,
            }
            for (of, path), target in self.targets.items()
            if of == service and target.group == group
        ]


async def ask(source: str, check: Check, port: int, seconds: float) -> bool:
    """Tell whether a machine passes a check."""
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(seconds):
            stream, out = await asyncio.open_connection(check.address, port, local_addr=(source, 0))
            with contextlib.closing(out):
                headers = {"host": check.host, "user-agent": AGENT, "connection": "close"}
                out.write(Message(f"GET {check.path} HTTP/1.1", headers).render(close=True))
                return (await read_message(stream)).code == 200
    return False


def list_used(world: World) -> Iterator[str]:
    """Yield the backend services that a URL map refers to."""
    for path, url_map in world.store.list_all("urlMaps").items():
        place = path.rpartition("/urlMaps/")[0]
        for name in list_services(url_map):
            yield f"{place}/backendServices/{name}"


def find_port(group: Thing | None, name: str) -> int:
    """Return the number of a group's named port; 0 without one."""
    ports = group.get("namedPorts", ()) if group else ()
    return next((int(one["port"]) for one in ports if one["name"] == name), 0)


def find_health(world: World) -> Health:
    """Return the part that has the health checks."""
    (found,) = (part for part in world.parts if isinstance(part, Health))
    return found


@answers("compute.backendServices.getHealth")
def get_health(world: World, call: Call) -> dict[str, Any]:
    """Return the health of one group of a backend service."""
    path = call.path.rpartition("/")[0]
    world.store.get(path)
    group = read_path(call.body.get("group", ""), call.project)
    found = find_health(world).describe(path, group)
    return {
        "kind": "compute#backendServiceGroupHealth",
        **({"healthStatus": found} if found else {}),
    }
