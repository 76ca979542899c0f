"""`retire`: deletes the standbys whose time is over, and nothing else."""

import time
from collections.abc import Mapping

from immutable_servers.driver.commands.known import KnownStack, read_known
from immutable_servers.driver.commands.up import fail, say_summary, show_services
from immutable_servers.driver.engine.past_runs import find_expected
from immutable_servers.driver.engine.updates import RunError, delete_generations
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.consent import require_yes
from immutable_servers.driver.terminal.display import start_display
from immutable_servers.ledger.pin import Pinned
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.standbys import sort_standbys
from immutable_servers.planning.wish import make_policy


def run_retire(stack: Opened, service: str, *, yes: bool) -> int:
    """Retire the standbys whose time is over; no bake, no launch, no change of traffic.

    Raises:
        SettingsError: There is no such service, or the answer was no.
    """
    known = read_known(stack)
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
    command = f"retire {stack.name} {service}".rstrip()
    require_yes(known.settings.target, stack.name, command, yes=yes)
    try:
        with start_display(find_expected(stack.root, stack.name)) as display:
            done = delete_generations(stack.engine, going, display)
    except RunError as error:
        return fail(error)
    say_summary(done)
    show_services(done.services)
    return 0


def find_due(stack: KnownStack, service: KnownService, now: float) -> Mapping[str, str]:
    """Return the standbys that go, each with the reason; none of a service without settings."""
    settings = stack.settings.services.get(service.name)
    if settings is None or service.live is None:
        return {}
    policy = make_policy(settings, stack.target)
    pin = service.ledger.pin
    desired = pin.generation if isinstance(pin, Pinned) else service.live.generation
    standbys = sort_standbys(service, policy, now, desired)
    beyond = {r.generation: f"is beyond `keep: {policy.keep}`" for r in standbys.beyond}
    return {**standbys.due, **beyond}
