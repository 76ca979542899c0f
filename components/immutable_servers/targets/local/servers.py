"""Boots servers side by side, asks them for their health, and reads their consoles."""

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from immutable_servers.contract.values import FleetSpec, Health
from immutable_servers.errors import LaunchError
from immutable_servers.system import places
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.local import layout
from immutable_servers.targets.local.accelerator import Accelerator, find_accelerator
from immutable_servers.targets.local.consoles import ConsoleWatch, find_words
from immutable_servers.targets.local.health import ask_health
from immutable_servers.targets.local.machines import (
    Machine,
    MachineWish,
    find_machine_process,
    find_pause,
    raise_share,
    start_machine,
)
from immutable_servers.targets.local.ports import LOOPBACK
from immutable_servers.targets.local.settings import LocalSettings, Size
from immutable_servers.targets.shared.launch_data import describe_launch

AT_ONCE = 16
_FREE_FOR_ALL = 512 * 2**20
_FREE_FOR_EACH = 256 * 2**20
"""Bytes that must be free: an overlay starts empty and grows with what its server writes."""


def make_wish(
    spec: FleetSpec, name: str, size: Size, reach: Sequence[str], settings: LocalSettings
) -> MachineWish:
    """Return what a server of a fleet should be when it is started now.

    It is open only while the login window is: later it boots sealed.
    """
    is_open = bool(spec.public_key) and spec.window_ends > time.time()
    spec = spec if is_open else replace(spec, public_key="", window_ends=0, inspection_key="")
    return MachineWish(
        name=name,
        artifact=spec.artifact,
        guest_port=spec.launch.port,
        memory=size.memory,
        cpus=size.cpus,
        ports=settings.port_range,
        launch=describe_launch(
            spec.scope,
            spec.launch.env,
            spec.public_key,
            spec.window_ends,
            inspection_key=spec.inspection_key,
            server=name,
            header=spec.launch.generation_header,
        ),
        open=is_open,
        reach=reach,
    )


def boot_servers(
    wishes: Mapping[Path, MachineWish], health: str, settings: LocalSettings
) -> tuple[dict[Path, Machine], list[LaunchError]]:
    """Boot every server that does not run, and wait until each serves or its time is over.

    Returns:
        The machines, and for each that does not serve what kept it, with the end of its console.

    Raises:
        LaunchError: A machine could not be started at all.
    """
    kernel = layout.artifact_dir(next(iter(wishes.values())).artifact) / "vmlinuz"
    accelerator = choose_accelerator(kernel, settings)
    deadline = time.monotonic() + settings.boot_deadline

    def boot(folder: Path) -> tuple[Machine, LaunchError | None]:
        machine = start_machine(folder, wishes[folder], accelerator)
        try:
            _wait_until_serving(folder, machine, health, deadline)
        except LaunchError as error:
            return machine, error
        raise_share(folder)
        return machine, None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = dict(zip(wishes, pool.map(boot, wishes), strict=True))
    machines = {folder: machine for folder, (machine, _) in done.items()}
    return machines, [error for _, error in done.values() if error]


def choose_accelerator(kernel: Path, settings: LocalSettings) -> Accelerator:
    """Return what the settings say, or for `auto` whether KVM works with this kernel."""
    chosen = settings.accelerator
    return find_accelerator(kernel) if chosen == "auto" else chosen


def ask_server(folder: Path, machine: Machine, health: str) -> Health:
    """Ask a server for its health now; without its own process nobody else's answer counts."""
    if find_machine_process(folder) is None:
        return Health(machine.name, ok=False, detail="its QEMU process does not run")
    return ask_health(machine, health)


def ask_all(machines: Mapping[Path, Machine], health: str) -> list[Health]:
    """Ask servers for their health side by side."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda path: ask_server(path, machines[path], health), machines))


def check_space(servers: int) -> None:
    """Refuse to start servers on a disk that is nearly full.

    Raises:
        LaunchError: Too little is free.
    """
    folder = places.data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    free, wanted = shutil.disk_usage(folder).free, _FREE_FOR_ALL + servers * _FREE_FOR_EACH
    if free < wanted:
        raise LaunchError(
            "The disk is nearly full, so no server is started",
            facts=[f"{folder}: {free // 2**20} MB are free, wanted {wanted // 2**20} MB"],
            todo="Free some space, or move the folder: set XDG_DATA_HOME.",
        )


def _wait_until_serving(folder: Path, machine: Machine, health: str, deadline: float) -> None:
    """Wait for the health check; without one (a probe that may be sick) for nothing."""
    if not health:
        return
    last, watch = "", ConsoleWatch(folder)

    def has_ended_or_serves() -> str:
        nonlocal last
        answer = ask_server(folder, machine, health)
        last = answer.detail
        if answer.ok:
            return "serves"
        if find_machine_process(folder) is None:
            return "its QEMU process ended"
        if why := find_pause(folder):
            return f"it is paused: {why}"
        return watch.find_end()

    what, seconds = f"waiting for {machine.name}", deadline - time.monotonic()
    found = wait_until(what, seconds, has_ended_or_serves, every=0.2)
    if found != "serves":
        raise LaunchError(
            f"The server {machine.name} does not serve: {found or 'the boot_deadline passed'}",
            facts=[
                f"health check: http://{LOOPBACK}:{machine.http_port}{health}: {last}",
                *find_words(folder),
            ],
            todo="Correct the image, or run the update again. Where it only needs longer, raise"
            " `boot_deadline` in immutable-servers:local.",
        )
