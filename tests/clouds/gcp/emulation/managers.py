"""Regional managed instance groups: they make, repair and end machines by themselves.

https://cloud.google.com/compute/docs/instance-groups/how-migs-work; what a field brings about is in
the discovery document's descriptions of `InstanceGroupManager`.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clouds.gcp.emulation.calls import locate
from clouds.gcp.emulation.computing import provision, remove_instance, run
from clouds.gcp.emulation.links import make_link, read_path
from clouds.gcp.emulation.machines import is_running
from clouds.gcp.emulation.refusals import Refusal
from clouds.gcp.emulation.store import Thing, make_fingerprint
from clouds.gcp.emulation.world import World

ALPHABET = "0123456789bcdfghjklmnpqrstvwxz"
"""Of the four letters at the end of a machine's name."""
ENDING = 4
LOOK_SECONDS = 0.25
"""How often groups look after machines that nobody has told them of."""
ACTIONS = ("none", "creating", "recreating", "deleting", "verifying")
OTHERS = ("abandoning", "creatingWithoutRetries", "refreshing", "restarting")
"""What there is not here: none is under way."""
LEAVING = ("DELETING", "RECREATING")
"""Actions that take a machine out of the backend services first."""
NO_ROOM = (
    "The zone '{}' does not have enough resources available to fulfill the request. "
    "Try a different zone, or try again later."
)


@dataclass(frozen=True)
class Config:
    """What a machine is made with: a template's link, and what the group adds to it."""

    template: str
    added: Mapping[str, Any]


@dataclass
class Managed:
    """One machine of a group.

    Attributes:
        path: Where it is, or will be.
        action: What the group does to it, in the API's words.
        due: When that goes on, by the monotonic clock.
        errors: Why the last attempt failed.
        since: When it came to run.
    """

    path: str
    config: Config
    action: str = "CREATING"
    due: float = 0.0
    errors: list[dict[str, Any]] = field(default_factory=list)
    since: float = 0.0
    tries: int = 0

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.rpartition("/")[2]


@dataclass
class Group:
    """What a group's manager knows.

    Attributes:
        machines: By name.
        errors: What has failed, the latest first.
        made: How many machines it has made.
    """

    machines: dict[str, Managed] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0

    def list_staying(self) -> list[Managed]:
        """Return the machines that nobody wants to end."""
        return [one for one in self.machines.values() if one.action != "DELETING"]


class Managers:
    """The groups' managers.

    Attributes:
        groups: By the manager's path.
        sick: Machines that an autohealing check finds unhealthy, and those that pass it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.groups: dict[str, Group] = {}
        self.sick: dict[str, bool] = {}
        self.seen, self.looked = -1, 0.0

    def settle(self) -> None:
        """Bring each group to what its manager says."""
        store, now = self.world.store, time.monotonic()
        dues = [one.due for group in self.groups.values() for one in group.machines.values()]
        waiting = [due for due in dues if self.looked < due <= now]
        if store.changes == self.seen and not waiting and now < self.looked + LOOK_SECONDS:
            return
        self.looked = now
        managers = store.list_all("instanceGroupManagers")
        for path in [path for path in self.groups if path not in managers]:
            del self.groups[path]
        for path, manager in managers.items():
            if path not in self.groups:
                self.groups[path] = Group()
            self._follow(path, manager)
        self.seen = store.changes

    def end(self) -> None:
        """Leave nothing behind."""

    def list_serving(self, group: str) -> list[str]:
        """Return the machines of an instance group that may get requests."""
        found = self.groups.get(group.replace("/instanceGroups/", "/instanceGroupManagers/"))
        staying = found.machines.values() if found else ()
        return [one.path for one in staying if one.action not in LEAVING]

    # what a manager does
    def _follow(self, path: str, manager: Thing) -> None:
        group, now = self.groups[path], time.monotonic()
        self._resize(path, manager, group)
        for machine in [*group.machines.values()]:
            if machine.action not in ("NONE", "VERIFYING") and machine.due <= now:
                self._go_on(path, manager, machine)
            elif machine.action in ("NONE", "VERIFYING"):
                self._look_after(manager, machine)
        self._tell(path, manager)

    def _resize(self, path: str, manager: Thing, group: Group) -> None:
        wanted = int(manager.get("targetSize", 0))
        while len(group.list_staying()) < wanted:
            group.made += 1
            zone = self._rank_zones(path, manager)[0]
            name = f"{manager['baseInstanceName']}-{self._draw_ending(path, group.made)}"
            machine = Managed(f"{zone}/instances/{name}", read_config(manager))
            group.machines[name] = machine
            self._delay(machine)
        for machine in group.list_staying()[wanted:]:
            self.leave(path, machine, "DELETING")

    def leave(self, path: str, machine: Managed, action: str) -> None:
        """Have a machine be ended, or made again, once it is drained."""
        if machine.action not in LEAVING:
            machine.action = action
            serves = is_running(self.world.store.find(machine.path))
            machine.due = time.monotonic() + (self._find_drain(path) if serves else 0.0)
            self.world.journal.note("leave", instance=machine.name, action=action)
        elif action == "DELETING":
            machine.action = action

    def _find_drain(self, path: str) -> float:
        """Return for how long a machine that leaves still answers what it was asked."""
        link = make_link(find_instance_group(path))
        services = self.world.store.list_all("backendServices").values()
        seconds = [
            float(one.get("connectionDraining", {}).get("drainingTimeoutSec", 0))
            for one in services
            if any(backend.get("group") == link for backend in one.get("backends", ()))
        ]
        return max(seconds, default=0.0) * self.world.manners.pace

    def _go_on(self, path: str, manager: Thing, machine: Managed) -> None:
        """Do the next step of what is under way."""
        there = self.world.store.find(machine.path)
        if machine.action == "DELETING":
            if there:
                remove_instance(self.world, machine.path)
            del self.groups[path].machines[machine.name]
        elif machine.action == "RECREATING" and there and machine.since:
            remove_instance(self.world, machine.path)
            machine.since = 0.0
            self._delay(machine)
        elif not there:
            self._try_to_make(path, manager, machine)
        else:
            run(self.world, machine.path)
            machine.since, machine.errors = time.monotonic(), []
            healed = manager.get("autoHealingPolicies")
            machine.action = "VERIFYING" if healed else "NONE"

    def _try_to_make(self, path: str, manager: Thing, machine: Managed) -> None:
        zone = machine.path.rpartition("/instances/")[0]
        try:
            self._refuse_to_make(zone)
            provision(self.world, machine.path, self._render(manager, machine))
        except Refusal as refusal:
            self._fail(path, manager, machine, refusal)
        else:
            self._delay(machine)

    def _refuse_to_make(self, zone: str) -> None:
        """Refuse a machine in a zone without room, or as a test wants.

        Raises:
            Refusal: So it is.
        """
        fault = self.world.take_fault("group.create")
        code = self.world.manners.no_room.get(zone.rpartition("/")[2])
        if fault:
            raise Refusal(fault["code"], fault.get("message", "a fault of the test"), 503)
        if code:
            raise Refusal(code, NO_ROOM.format(zone), 503)

    def _fail(self, path: str, manager: Thing, machine: Managed, refusal: Refusal) -> None:
        """Note an attempt that failed, and try again; in another zone, if the group may."""
        group = self.groups[path]
        error = {"code": refusal.reason, "message": refusal.message}
        details = {"action": machine.action, "instance": make_link(machine.path)}
        when = self.world.store.tell_time()
        words = {"error": error, "instanceActionDetails": details, "timestamp": when}
        group.errors.insert(0, words)
        machine.errors, machine.tries = [error], machine.tries + 1
        shape = manager.get("distributionPolicy", {}).get("targetShape", "EVEN")
        if shape != "EVEN":
            before, name = machine.path.split("/instances/")
            zones = sorted(self._rank_zones(path, manager))  # in turn, so that it comes to each
            following = zones[(zones.index(before) + 1) % len(zones)]
            machine.path = f"{following}/instances/{name}"
        self._delay(machine)

    def _look_after(self, manager: Thing, machine: Managed) -> None:
        """Repair a machine that does not run, or that an autohealing check finds sick."""
        policies = manager.get("autoHealingPolicies", ())
        lifecycle = manager.get("instanceLifecyclePolicy", {})
        delay = max((float(one.get("initialDelaySec", 0)) for one in policies), default=0.0)
        young = time.monotonic() - machine.since < delay * self.world.manners.pace
        sick = self.sick.get(machine.path)
        if machine.action == "VERIFYING" and (not policies or sick is False or not young):
            machine.action = "NONE"
        lost = not is_running(self.world.store.find(machine.path))
        if not lost and (not sick or young):
            return
        if lifecycle.get("defaultActionOnFailure", "REPAIR") != "REPAIR":
            machine.action = "NONE"
            return
        if lifecycle.get("forceUpdateOnRepair") == "YES":
            machine.config = read_config(manager)
        self.sick.pop(machine.path, None)
        path = next(one for one, group in self.groups.items() if machine in group.machines.values())
        self.leave(path, machine, "RECREATING")

    # how a machine is made
    def _render(self, manager: Thing, machine: Managed) -> dict[str, Any]:
        """Return what a machine is made of, as an insert has it."""
        config = machine.config
        template = self.world.store.get(read_path(config.template, ""))
        words = template["properties"]
        texts = {one["key"]: one.get("value", "") for one in words["metadata"].get("items", ())}
        texts |= config.added.get("metadata", {})
        texts |= {"created-by": manager["selfLink"], "instance-template": config.template}
        items = [{"key": key, "value": text} for key, text in texts.items()]
        labels = {**words.get("labels", {}), **config.added.get("labels", {})}
        return {**words, "metadata": {"items": items}, "labels": labels}

    def _rank_zones(self, path: str, manager: Thing) -> list[str]:
        """Return a group's zones, those with the fewest of its machines first."""
        named = [one["zone"] for one in manager.get("distributionPolicy", {}).get("zones", ())]
        region = self.world.store.get(read_path(manager["region"], ""))
        zones = [read_path(one, path.split("/")[1]) for one in named or region["zones"]]
        there = Counter(
            one.path.rpartition("/instances/")[0] for one in self.groups[path].list_staying()
        )
        return sorted(zones, key=lambda zone: (there[zone], zone))

    def _draw_ending(self, path: str, number: int) -> str:
        draws = (self.world.manners.draw("name", path, number, at) for at in range(ENDING))
        return "".join(ALPHABET[int(one * len(ALPHABET))] for one in draws)

    def _delay(self, machine: Managed) -> None:
        manners = self.world.manners
        part = manners.draw("boot", machine.path, machine.action, machine.tries)
        machine.due = time.monotonic() + manners.boot * part

    # what a manager says
    def _tell(self, path: str, manager: Thing) -> None:
        """Have the API say what is under way."""
        machines = [*self.groups[path].machines.values()]
        count = Counter(one.action.lower() for one in machines)
        stable = count["none"] == len(machines) == int(manager.get("targetSize", 0))
        scaler = find_scaler(self.world, path)
        words = {
            "currentActions": {name: count[name] for name in ACTIONS} | dict.fromkeys(OTHERS, 0),
            "status": {
                "isStable": stable,
                "versionTarget": {"isReached": True},
                "allInstancesConfig": {"effective": self._is_followed(manager, machines)},
                **({"autoscaler": scaler["selfLink"]} if scaler else {}),
            },
        }
        if any(manager.get(key) != value for key, value in words.items()):
            self.world.store.put(path, {**manager, **words})

    def _is_followed(self, manager: Thing, machines: Sequence[Managed]) -> bool:
        return all(one.config == read_config(manager) for one in machines)


def read_config(manager: Thing) -> Config:
    """Return what a group's next machine is made with."""
    (version, *_) = manager.get("versions") or [{}]
    template = version.get("instanceTemplate") or manager["instanceTemplate"]
    return Config(template, manager.get("allInstancesConfig", {}).get("properties", {}))


def find_instance_group(path: str) -> str:
    """Return the path of a manager's instance group."""
    return path.replace("/instanceGroupManagers/", "/instanceGroups/")


def make_instance_group(world: World, path: str, manager: Thing) -> None:
    """Make the instance group beside its manager."""
    ports = manager.get("namedPorts", [])
    words = {
        "kind": "compute#instanceGroup",
        "namedPorts": ports,
        "size": 0,
        "fingerprint": make_fingerprint(ports),
        **locate(path.partition("/instanceGroupManagers/")[0]),
    }
    world.store.make(find_instance_group(path), words)


def find_scaler(world: World, path: str) -> Thing | None:
    """Return the autoscaler of a group."""
    link = make_link(path)
    scalers = world.store.list_all("autoscalers").values()
    return next((one for one in scalers if one["target"] == link), None)


def find_managers(world: World) -> Managers:
    """Return the part that has the groups."""
    (found,) = (part for part in world.parts if isinstance(part, Managers))
    return found


def list_managed(world: World, path: str) -> Iterator[dict[str, Any]]:
    """Yield what the API says of each machine of a group."""
    for machine in find_managers(world).groups[path].machines.values():
        instance = world.store.find(machine.path)
        said = {
            "instance": make_link(machine.path),
            "name": machine.name,
            "currentAction": machine.action,
            "version": {"instanceTemplate": machine.config.template},
        }
        if instance:
            said |= {"id": instance["id"], "instanceStatus": instance["status"]}
        if machine.errors:
            said["lastAttempt"] = {"errors": {"errors": machine.errors}}
        yield said
