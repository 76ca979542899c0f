"""What is left over of stacks: fleets and balancers that their state does not know, whole stacks.

A stack's folder is its state's, which is asked. A stack whose state cannot be asked, or that still
serves, is listed and goes only when it is named.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from immutable_servers.contract.ownership import Ask, Holdings, Leftover
from immutable_servers.contract.values import Scope
from immutable_servers.errors import ImmutableError, RetirementError
from immutable_servers.targets.local import balancer, layout, probes
from immutable_servers.targets.local.fleet_records import read_record
from immutable_servers.targets.local.fleets import delete_left_fleet
from immutable_servers.targets.local.owners import find_owner

STACK, FLEET, BALANCER = "stack", "fleet", "balancer"
_BALANCER_NAME = "balancer"
"""The name of its resource."""


def find_left_stacks(ask: Ask) -> Iterator[Leftover]:
    """Yield what is left over of every stack of this machine."""
    for folder in sorted(layout.stacks_dir().glob("*/*/")):
        yield from _find_in_stack(Scope(folder.parent.name, folder.name), ask)


def remove_from_stack(leftover: Leftover, ask: Ask) -> bool:
    """Remove a fleet, a balancer or a whole stack, when it is left over still.

    Raises:
        RetirementError: It is a balancer that runs, or a fleet that one sends traffic.
    """
    project, stack, *_ = leftover.name.split("/")
    scope = Scope(project, stack)
    again = _find(leftover, scope, ask)
    if again is None:
        return False
    if leftover.kind == STACK:
        _remove_stack(scope)
    elif leftover.kind == BALANCER:
        if balancer.find_balancer(scope):
            raise _still_serves(again)
        balancer.stop_balancer(scope)
    else:
        return _remove_fleet(leftover, ask)
    return True


def measure(folder: Path) -> int:
    """Return the bytes that a folder takes on the disk."""
    files = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)  # noqa: PTH118 - os.walk's
    return sum(os.lstat(file).st_blocks * 512 for file in files if os.path.lexists(file))


def find_weight(scope: Scope) -> int:
    """Return the share of the traffic that a generation has; all of it when nobody can say."""
    try:
        return balancer.find_traffic(scope).get(scope.generation, 0)
    except ImmutableError:
        return 100


def _find_in_stack(scope: Scope, ask: Ask) -> Iterator[Leftover]:
    folder = layout.stack_dir(scope)
    things = {path.name for path in folder.iterdir()} - {layout.OWNER}
    held = ask(find_owner(scope))
    if held.exists:
        yield from _find_unknown(scope, held)
    elif things - {"probes"} or (not things and not held.unasked):
        yield _describe_stack(scope, held)


def _describe_stack(scope: Scope, held: Holdings) -> Leftover:
    folder = layout.stack_dir(scope)
    why = f"not asked: {held.unasked}" if held.unasked else "its state holds no such stack"
    serves = bool(balancer.find_balancer(scope))
    why += "; its balancer runs" if serves else ""
    sure = not held.unasked and not serves
    return Leftover(STACK, f"{scope.project}/{scope.stack}", why, measure(folder), sure)


def _find_unknown(scope: Scope, held: Holdings) -> Iterator[Leftover]:
    """Yield what a stack has and its state does not know; nothing while a run makes things."""
    if held.run == "under way":
        return
    doubt = "; a run may be under way" if held.run == "unknown" else ""
    name = f"{scope.project}/{scope.stack}"
    for path in sorted(layout.generations_dir(scope).glob("*/")):
        if path.name not in held.names:
            weight = find_weight(_scope_of(scope, path))
            what = "fleet" if read_record(path) else "login key"
            why = f"{what} that the stack's state does not know{doubt}"
            why += f"; the balancer sends it {weight} % of the traffic" if weight else ""
            sure = not weight and not doubt
            yield Leftover(FLEET, f"{name}/{path.name}", why, measure(path), sure)
    if _BALANCER_NAME not in held.names and layout.balancer_dir(scope).exists():
        serves = bool(balancer.find_balancer(scope))
        why = f"balancer that the stack's state does not know{doubt}{'; it runs' if serves else ''}"
        yield Leftover(BALANCER, f"{name}/balancer", why, sure=not serves and not doubt)


def _find(leftover: Leftover, scope: Scope, ask: Ask) -> Leftover | None:
    if not layout.stack_dir(scope).is_dir():
        return None
    key = (leftover.kind, leftover.name)
    return next((one for one in _find_in_stack(scope, ask) if (one.kind, one.name) == key), None)


def _scope_of(scope: Scope, folder: Path) -> Scope:
    service, _, generation = folder.name.rpartition("-")
    return Scope(scope.project, scope.stack, service, generation)


def _remove_fleet(leftover: Leftover, ask: Ask) -> bool:
    project, stack, name = leftover.name.split("/")
    whole = Scope(project, stack)
    scope = _scope_of(whole, layout.generations_dir(whole) / name)

    def is_left() -> bool:
        # A run that began meanwhile may have adopted it.
        again = _find(leftover, whole, ask)
        if again and find_weight(scope):
            raise _still_serves(again)
        return again is not None

    removed = delete_left_fleet(scope, is_left)
    layout.remove_empty_folders(whole)
    return removed


def _remove_stack(scope: Scope) -> None:
    """Remove all of a stack: its balancer first, so that nobody is sent to a server that goes."""
    balancer.stop_balancer(scope)
    probes.remove_stale_probes(scope)
    for folder in sorted(layout.generations_dir(scope).glob("*/")):
        delete_left_fleet(_scope_of(scope, folder), lambda: True)
    layout.remove_empty_folders(scope)


def _still_serves(leftover: Leftover) -> RetirementError:
    return RetirementError(
        f"The {leftover.kind} {leftover.name} serves, so it is not removed",
        facts=[leftover.why],
        todo="Run ./immutable up on its stack: it takes over what serves, and retires the rest.",
    )
