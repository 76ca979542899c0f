"""The emulated cloud behind its API: instances that run, balancers that answer, their health."""

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from clouds.aws.emulation.cloud_fronts import Fronts
from clouds.aws.emulation.cloud_health import CHECK_SECONDS, Health, Key, Target, ask
from clouds.aws.emulation.cloud_manners import AwsManners
from clouds.aws.emulation.cloud_metrics import Metrics
from clouds.aws.emulation.cloud_names import list_addresses
from clouds.aws.emulation.cloud_node import Place
from clouds.aws.emulation.cloud_rules import Rules, find_default, list_used, read_rules
from clouds.shared.cloud_clock import NAME, Clock
from clouds.shared.cloud_faults import take_fault
from clouds.shared.cloud_guest import AMAZON, Guest, keep_files
from clouds.shared.cloud_journal import Journal
from clouds.shared.cloud_loopback import claim_network, start_loop
from clouds.shared.cloud_machine import Boot, Machine, Surroundings
from clouds.shared.etiquette import Etiquette

SCALE_EVERY = 10
"""After so many health checks groups try to launch what they lack."""
IDLE = "idle_timeout.timeout_seconds"
IDLE_SECONDS = 60
"""A balancer's attribute, and its default."""

NEW = Target()
"""A target that was not checked yet."""


class World:
    """What the API's calls bring about.

    Attributes:
        network: The two first numbers of every address: `127.` and one of its own.
        activities: Of each Auto Scaling group, those that failed, the latest first.
        lock: Held while moto's models are read or changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self.network, self.claim = claim_network()
        self.lock = threading.RLock()
        self.etiquette = Etiquette(folder, AwsManners)
        self.clock = Clock(folder / NAME)
        self.metrics = Metrics(self.etiquette.read, self.clock.now)
        self.health = Health()
        self.machines: dict[str, Machine | Guest] = {}
        self.activities: dict[str, list[dict[str, Any]]] = {}
        self.pointers: dict[str, Mapping[str, int]] = {}
        self.registered: dict[str, list[tuple[str, int]]] = {}
        self.loop, self.traffic = start_loop(), start_loop()
        self.fronts = Fronts(self.traffic, self)
        threading.Thread(target=self._check_for_ever, daemon=True).start()

    @property
    def manners(self) -> AwsManners:
        """How it behaves now."""
        return self.etiquette.read()

    def take_fault(self, name: str) -> Mapping[str, Any] | None:
        """Return what a test wants to go wrong; each fault is counted down."""
        return take_fault(self.folder, name)

    # what is in moto
    def list_groups(self) -> Iterator[Any]:
        """Yield every target group."""
        for backend in _list_backends(elbv2_backends):
            yield from backend.target_groups.values()

    def list_listeners(self) -> Iterator[tuple[Any, Any]]:
        """Yield every listener with its balancer."""
        for backend in _list_backends(elbv2_backends):
            for balancer in backend.load_balancers.values():
                for listener in balancer.listeners.values():
                    yield balancer, listener

    def find_targets(self, group_arn: str) -> list[Place]:
        """Return a group's targets that get requests; with none healthy all of them, as Amazon's.

        It is asked for each request, and takes no lock.
        """
        found = []
        for identity, port in self.registered.get(group_arn, ()):
            machine = self.machines.get(identity)
            if machine:
                found.append((identity, machine.address, machine.find_port(port)))
        states = self.health.targets
        healthy = [one for one in found if states.get((group_arn, one[0]), NEW).state == "healthy"]
        return healthy or found

    def find_used(self) -> set[str]:
        """Return the target groups that a listener or a rule names."""
        return {arn for _, listener in self.list_listeners() for arn in list_used(listener)}

    def find_target(self, key: Key) -> Target:
        """Return what the health checks know of a target."""
        return self.health.targets.setdefault(key, Target())

    # what follows from it
    def settle(self) -> None:
        """Bring instances and balancers to what the API's models say, and note what changed."""
        with self.lock:
            self._settle_machines()
            self._settle_fronts()
            self._note_pointers()

    def scale(self) -> None:
        """Let each group try again to launch what it lacks."""
        with self.lock:
            for backend in _list_backends(autoscaling_backends):
                for group in backend.autoscaling_groups.values():
                    group.set_desired_capacity(group.desired_capacity)
            self.settle()

    def _settle_machines(self) -> None:
        running = {
            instance.id: instance
            for backend in _list_backends(ec2_backends)
            for reservation in backend.reservations.values()
            for instance in reservation.instances
            if instance.state == "running"
        }
        gone = [identity for identity in self.machines if identity not in running]
        for identity in gone:
            self.machines.pop(identity).end()
            self.journal.note("end", instance=identity)
        for group in self.list_groups():
            group.deregister_terminated_instances(gone)
        for identity, instance in running.items():
            if identity not in self.machines:
                self.machines[identity] = self._boot(instance)
        for group in self.list_groups():
            for identity, port in _list_targets(group):
                if identity in self.machines:
                    self.machines[identity].listen(port)

    def _boot(self, instance: Any) -> Machine | Guest:  # noqa: ANN401 - moto's instance
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        self.journal.note("boot", instance=instance.id, image=instance.image_id, tags=tags)
        user_data = instance.user_data.decode() if instance.user_data else ""
        key, address = _find_key_pair(instance), instance.private_ip
        image = self.find_disk(instance.image_id)
        if not image.exists():
            return Machine(
                Boot(instance.id, address, user_data, key),
                Surroundings(
                    self.folder, self.journal, self.loop, self.traffic, self.clock.now, self.manners
                ),
            )
        metadata = {
            "user-data": user_data,
            "meta-data/instance-id": instance.id,
            "meta-data/public-keys/0/openssh-key": key,
        }
        return Guest(AMAZON, metadata, address, image, self._find_place(instance.id), self.loop)

    # disks, of AMIs that have one
    def find_disk(self, image: str) -> Path:
        """Return the folder of an AMI's disk; most have none."""
        return self.folder / "disks" / image

    def _find_place(self, instance: str) -> Path:
        return self.folder / "guests" / instance

    def keep_disk(self, instance: str, image: str) -> None:
        """Keep a stopped instance's disk as an AMI's."""
        if self._find_place(instance).exists():
            keep_files(self._find_place(instance), self.find_disk(image))

    def copy_disk(self, source: str, image: str) -> None:
        """Give an AMI the disk of another."""
        if self.find_disk(source).exists():
            keep_files(self.find_disk(source), self.find_disk(image))

    def end(self) -> None:
        """End every machine."""
        with self.lock:
            for machine in self.machines.values():
                machine.end()

    def _settle_fronts(self) -> None:
        self.registered = {group.arn: _list_targets(group) for group in self.list_groups()}
        wanted: dict[tuple[str, int], tuple[str, str, Rules]] = {}
        for balancer, listener in self.list_listeners():
            rules = read_rules(listener, float(balancer.attrs.get(IDLE, IDLE_SECONDS)))
            for address in list_addresses(balancer.dns_name):
                wanted[address, int(listener.port)] = (balancer.arn, listener.arn, rules)
        self.fronts.settle(wanted)

    def _note_pointers(self) -> None:
        """Note each change of a listener's default action, and how its groups are right then."""
        groups = {group.arn: group for group in self.list_groups()}
        for _, listener in self.list_listeners():
            weights = find_default(listener)
            if self.pointers.get(listener.arn, {}) == weights:
                continue
            self.pointers[listener.arn] = weights
            names = {arn: groups[arn].name for arn in weights if arn in groups}
            self.journal.note(
                "traffic",
                listener=listener.arn,
                port=int(listener.port),
                weights={names.get(arn, arn): weight for arn, weight in weights.items()},
                targets={name: self._describe_targets(groups[arn]) for arn, name in names.items()},
            )

    def _describe_targets(self, group: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - moto's
        return {
            identity: {
                "state": self.find_target((group.arn, identity)).state,
                "sealed": identity in self.machines and self.machines[identity].sealed,
            }
            for identity, _ in _list_targets(group)
        }

    # health checks
    def _check_for_ever(self) -> None:
        for count in itertools.count():
            time.sleep(CHECK_SECONDS)
            self.check_once(count)
            if count % SCALE_EVERY == 0:
                self.scale()

    def check_once(self, count: int) -> None:
        """Ask every target that a listener can reach, and that can be asked so often."""
        with self.lock:
            used = self.find_used()
            asked = [
                (group, identity, port, self.machines.get(identity))
                for group in self.list_groups()
                if group.arn in used
                for identity, port in _list_targets(group)
            ]
        for group, identity, port, machine in asked:
            if machine and count % machine.every:
                continue
            codes = (group.matcher or {}).get("HttpCode", "200")
            path = group.health_check_path or "/"
            detail = "it does not run"
            if machine:
                detail = ask(machine.address, machine.find_port(port), path, codes)
            with self.lock:
                self.find_target((group.arn, identity)).take(detail, group)


def _list_backends(backends: Any) -> Iterator[Any]:  # noqa: ANN401 - moto's tables
    for account in [*backends.values()]:
        yield from [*account.values()]


def _find_key_pair(instance: Any) -> str:  # noqa: ANN401 - moto's instance
    """Return the public key that an instance was launched with, empty without."""
    pair = instance.ec2_backend.key_pairs.get(instance.key_name)
    return str(pair.public_key) if pair else ""


def _list_targets(group: Any) -> list[tuple[str, int]]:  # noqa: ANN401 - moto's target group
    return [(target["Id"], int(target["Port"])) for target in group.targets.values()]
