"""What the sweeps of all targets share: fleets beside what their stacks' states know.

A fleet that its stack's state does not know is left over, unless a run is making it now. It is
removed without being named only when that is sure and when the balancer sends it nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from immutable_servers.contract.balancer import Balancer
from immutable_servers.contract.fleets import Fleets
from immutable_servers.contract.ownership import Ask, Holdings, Kind, Leftover, Ownership
from immutable_servers.contract.values import ALL, Scope
from immutable_servers.errors import ImmutableError, RetirementError

FLEET, STACK = "fleet", "stack"


class Part(NamedTuple):
    """Something that a stack has beside its fleets, such as its balancer's address."""

    scope: Scope
    name: str
    remove: Callable[[], object]


def make_fleet_kind(
    find_scopes: Callable[[], Iterable[Scope]], ownership: Ownership, fleets: Fleets
) -> Kind:
    """Return the kind of fleets that their stacks' states do not know.

    Args:
        find_scopes: Returns the scope of each fleet of ours that exists, of any stack.
        ownership: Knows whose a stack is.
        fleets: Deletes a fleet.
    """

    def find(ask: Ask) -> Iterator[Leftover]:
        @cache
        def ask_once(stack: Scope) -> Holdings:
            return ask(ownership.find_owner(stack))

        for scope in find_scopes():
            held = ask_once(Scope(scope.project, scope.stack))
            if is_unknown(scope, held):
                yield describe_fleet(scope, held, fleets.balancer)

    def remove(name: str, _ask: Ask) -> bool:
        fleets.delete(read_name(name))
        return True

    return Kind(find, remove)


def make_stack_kind(
    find_parts: Callable[[], Iterable[Part]],
    find_scopes: Callable[[], Iterable[Scope]],
    ownership: Ownership,
) -> Kind:
    """Return the kind of stacks that their states do not hold, once no fleet of theirs is left.

    Args:
        find_parts: Returns what stacks have beside fleets, in the order in which it can go. What
            says whose a stack is comes last.
        find_scopes: Returns the scope of each fleet of ours that exists, of any stack.
        ownership: Knows whose a stack is.
    """

    def find(ask: Ask) -> Iterator[Leftover]:
        names: dict[Scope, list[str]] = {}
        for part in find_parts():
            names.setdefault(part.scope.of_stack, []).append(part.name)
        running = {scope.of_stack for scope in find_scopes()} if names else set()
        for stack in (one for one in names if one not in running):
            held = ask(ownership.find_owner(stack))
            if not held.names and held.run != "under way":
                doubt = find_doubt(held)
                why = f"{', '.join(names[stack])}; {doubt or 'no state holds it'}"
                yield Leftover(STACK, f"{stack.project}/{stack.stack}", why, sure=not doubt)

    def remove(name: str, _ask: Ask) -> bool:
        for part in find_parts():
            if f"{part.scope.project}/{part.scope.stack}" == name:
                part.remove()
        return True

    return Kind(find, remove)


def is_unknown(scope: Scope, held: Holdings) -> bool:
    """Return whether a stack's state does not know a generation, and no run is making it now."""
    return f"{scope.service}-{scope.generation}" not in held.names and held.run != "under way"


def describe_fleet(
    scope: Scope, held: Holdings, balancer: Balancer, *, what: str = FLEET, size: int = 0
) -> Leftover:
    """Return the leftover that a fleet is which its stack's state does not know."""
    weight = find_weight(balancer, scope)
    doubt = find_doubt(held)
    unknown = "" if held.unasked else f"{what} that the stack's state does not know"
    why = [unknown, doubt]
    if weight:
        why.append(f"the balancer sends it {weight} % of the traffic")
    sure = not weight and not doubt
    return Leftover(FLEET, write_name(scope), "; ".join(filter(None, why)), size, sure)


def find_doubt(held: Holdings) -> str:
    """Return why what a state says may be wrong or outdated; empty when it can be relied on."""
    if held.unasked:
        return f"not asked: {held.unasked}"
    return "a run may be under way" if held.run == "unknown" else ""


def find_weight(balancer: Balancer, scope: Scope) -> int:
    """Return the share of the traffic that a generation has; all of it when nobody can say."""
    try:
        return balancer.find_weights(scope).get(scope.generation, 0)
    except ImmutableError:
        return ALL


def make_serving_error(leftover: Leftover) -> RetirementError:
    """Return the error of a leftover that is not removed because it serves."""
    return RetirementError(
        f"The {leftover.kind} {leftover.name} serves, so it is not removed",
        facts=[leftover.why],
        todo="Run ./immutable up on its stack: it takes over what serves, and retires the rest.",
    )


def write_name(scope: Scope) -> str:
    """Return a generation's name in a sweep, such as `shop/dev/web-3f2a9c41`."""
    return f"{scope.project}/{scope.stack}/{scope.service}-{scope.generation}"


def read_name(name: str) -> Scope:
    """Return the scope of a name that `write_name` made."""
    project, stack, title = name.split("/")
    service, _, generation = title.rpartition("-")
    return Scope(project, stack, service, generation)
