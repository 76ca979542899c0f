"""`retire`, and the removal of failed candidates: runs that delete what is named, nothing else."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from immutable_servers.driver import console, runs
from immutable_servers.driver.known import KnownService, KnownStack, read_known
from immutable_servers.driver.project import read_values
from immutable_servers.errors import ImmutableError, VerificationError
from immutable_servers.planning import make_policy
from immutable_servers.records import State
from immutable_servers.requests import Request, start_asking
from immutable_servers.standbys import sort_standbys

REMOVE = "remove"


def run_up(root: Path, stack: str, *, yes: bool) -> int:
    """Run `pulumi up`, and after a failure remove the candidates that are not to stay."""
    code = runs.run_up(root, stack, yes=yes)
    if code == VerificationError.exit_code and _removes(root, stack):
        try:
            _remove_failed(root, stack)
        except ImmutableError as error:
            console.fail(error)  # the run ends with its own failure
    return code


def _removes(root: Path, stack: str) -> bool:
    """Tell whether any service has `on_failure: remove`, without more work than needed."""
    services = read_values(root, stack).get("services")
    found = services.values() if isinstance(services, Mapping) else ()
    return any(isinstance(one, Mapping) and one.get("on_failure") == REMOVE for one in found)


def run_retire(root: Path, stack: str, service: str) -> int:
    """Retire the standbys whose time is over; no bake, no launch, no change of traffic.

    Raises:
        SettingsError: There is no such service.
    """
    known = read_known(root, stack)
    wanted = [known.choose(service)] if service else list(known.services.values())
    going: dict[str, list[str]] = {}
    for one in wanted:
        due = find_due(known, one, time.time())
        for generation, why in due.items():
            console.say(f"{one.name}: standby {generation} {why}")
        if due:
            going[one.name] = list(due)
    if not going:
        console.say("No standby is due")
        return 0
    return _delete(root, stack, going)


def find_due(stack: KnownStack, service: KnownService, now: float) -> Mapping[str, str]:
    """Return the standbys that go, each with the reason; none of a service without settings."""
    settings = stack.settings.services.get(service.name)
    if settings is None or service.live is None:
        return {}
    policy = make_policy(settings, stack.target)
    live = service.live.generation
    standbys = sort_standbys(service.ledger, service.fleets, policy, now, live)
    beyond = {r.generation: f"is beyond `keep: {policy.keep}`" for r in standbys.beyond}
    return {**standbys.due, **beyond}


def _remove_failed(root: Path, stack: str) -> None:
    """Delete the failed candidates of services with `on_failure: remove`."""
    known = read_known(root, stack)
    going = dict(_find_failed(known))
    if going and _delete(root, stack, going) == 0:
        names = ", ".join(f"{name}-{one}" for name, each in going.items() for one in each)
        console.say(f"Removed {names} (on_failure: remove); what serves was not touched")


def _find_failed(stack: KnownStack) -> Iterator[tuple[str, Sequence[str]]]:
    for name, settings in stack.settings.services.items():
        service = stack.services.get(name)
        if service is None or settings.on_failure != REMOVE:
            continue
        failed = [record.generation for record in service.list_in(State.CANDIDATE)]
        if failed and service.live is None:
            console.say(f"{name}: the failed candidate stays, as nothing serves beside it")
        elif failed:
            yield name, failed


def _delete(root: Path, stack: str, going: Mapping[str, Sequence[str]]) -> int:
    """Run the engine on these generations alone, and on the pointers that name them."""
    targets = [
        pattern
        for name, generations in going.items()
        for pattern in (
            f"**:Release::{name}",
            f"**:Traffic::{name}",
            *(f"**::{name}-{generation}*" for generation in generations),
        )
    ]
    request = Request(retire={name: list(each) for name, each in going.items()})
    with start_asking(request):
        return runs.run_up(root, stack, yes=True, targets=targets)
