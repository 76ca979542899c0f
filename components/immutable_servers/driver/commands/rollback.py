"""`rollback`, `resume` and `replace`: change one service in another way than its source says.

In such a run the stack's other services stay as they are, whatever the source says.
"""

import getpass
import os
import shlex
import time
from dataclasses import dataclass

from immutable_servers.driver.commands.fallback import ACROSS, choose_fallback, needs_launch
from immutable_servers.driver.commands.known import KnownStack, read_known
from immutable_servers.driver.commands.up import run_up
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.terminal import console
from immutable_servers.driver.terminal.words import render_seconds
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.pin import Pinned, render_pin
from immutable_servers.ledger.records import Record
from immutable_servers.planning.known import KnownService
from immutable_servers.planning.requests import Request, release
from immutable_servers.verification.report import count


@dataclass(frozen=True)
class ServiceRequest:
    """What a person asks of one service.

    Attributes:
        note: Printed before the run; empty for nothing.
        launched: Servers are launched for it.
    """

    service: str
    request: Request
    note: str = ""
    launched: bool = False


def run_rollback(stack: Opened, service: str, to: str, why: str, *, across: bool, yes: bool) -> int:
    """Pin a service to an earlier generation and move its traffic there.

    Raises:
        SettingsError: The service or generation cannot be taken; those that can are listed.
    """
    began = time.monotonic()
    asked = ask_rollback(stack, service, to, why, across=across)
    words = ["rollback", stack.name, asked.service, *(["--to", to] if to else [])]
    words += ["--why", why, *([ACROSS] if across else [])]
    code = _run(stack, asked, shlex.join(words), yes=yes)
    if code:
        _explain_pin(stack, asked)
        return code
    took = render_seconds(time.monotonic() - began)
    done = "a launch and a verification" if asked.launched else "a change of traffic"
    console.say(
        f"{asked.service} went back in {took}, with {done}. It is pinned: later runs keep it,"
        " whatever the source says.\n"
        f"Go on with: ./immutable resume {stack.name} {asked.service}"
    )
    return 0


def _explain_pin(stack: Opened, asked: ServiceRequest) -> None:
    """Print how to go on after a failed rollback whose pin is in the ledger."""
    service, pin = asked.service, asked.request.pins[asked.service]
    now = stack.read_ledgers()[service]
    if isinstance(now.pin, Pinned) and isinstance(pin, Pinned) and now.pin.at == pin.at:
        moved = now.live == now.pin.generation
        serves = f"generation {now.live} serves" if moved else "what served before serves"
        console.say(
            f"{service} is pinned, and {serves}. `./immutable up {stack.name}` tries"
            f" again; to give it up: ./immutable resume {stack.name} {service}"
        )


def run_resume(stack: Opened, service: str, *, now: bool, yes: bool) -> int:
    """Remove a service's pin; without `now` what the rollback left is held off.

    Raises:
        SettingsError: The service is not pinned.
    """
    asked = ask_resume(stack, service, now=now)
    command = f"resume {stack.name} {asked.service}{' --now' if now else ''}"
    return _run(stack, asked, command, yes=yes)


def run_replace(stack: Opened, service: str, why: str, *, yes: bool) -> int:
    """Replace the live generation by its next round: the same image on new servers.

    Raises:
        SettingsError: There is no such service, it is pinned, or nothing of it is live.
    """
    asked = ask_replace(stack, service, why)
    return _run(stack, asked, f"replace {stack.name} {asked.service}", yes=yes)


def ask_rollback(
    stack: Opened, service: str, to: str, why: str, *, across: bool = False
) -> ServiceRequest:
    """Return the request that pins a service to an earlier generation.

    Raises:
        SettingsError: The service or generation cannot be taken; those that can are listed.
    """
    known = _read_known(stack)
    chosen = known.choose(service)
    record = choose_fallback(known, chosen, to, across=across)
    launched = needs_launch(chosen, record)
    settings = known.settings.services.get(chosen.name)
    wanted = settings.servers if settings else record.servers
    how = describe_way(record.servers, wanted, launched=launched)
    note = f"{chosen.name} goes back to generation {record.generation}: {how}"
    request = Request(pins={chosen.name: _make_pin(chosen, record, why)}, others_stay=True)
    return ServiceRequest(chosen.name, request, note, launched)


def describe_way(servers: int, wanted: int, *, launched: bool) -> str:
    """Return what going back takes, by the servers that exist and those that the settings want."""
    if launched:
        return "its artifact is launched again, without a bake"
    if servers < wanted:
        return (
            f"it has {count(servers, 'server')}, and traffic waits for {wanted - servers} more,"
            " since the settings want that many"
        )
    return "its servers run"


def _make_pin(service: KnownService, chosen: Record, why: str) -> Pinned:
    live, earlier = service.live, service.ledger.pin
    left = earlier.left if isinstance(earlier, Pinned) else None
    return Pinned(
        generation=chosen.generation,
        who=os.environ.get("USER") or getpass.getuser(),
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        why=why,
        left=left or (live.generation if live else ""),
    )


def ask_resume(stack: Opened, service: str, *, now: bool) -> ServiceRequest:
    """Return the request that removes a service's pin.

    Raises:
        SettingsError: The service is not pinned.
    """
    known = _read_known(stack).choose(service)
    pin = known.ledger.pin
    if pin is None:
        raise SettingsError(
            f"The service {known.name} of {stack.name} is not pinned",
            todo="Nothing needs to be resumed: `./immutable up` follows the source.",
        )
    held = None if now else release(pin)
    request = Request(pins={known.name: held}, others_stay=True)
    if held is None:
        return ServiceRequest(known.name, request)
    note = (
        f"{known.name} stays as it is while source and settings give what the rollback left"
        f" ({held.held}); to take that: ./immutable resume {stack.name} {known.name} --now"
    )
    return ServiceRequest(known.name, request, note)


def ask_replace(stack: Opened, service: str, why: str) -> ServiceRequest:
    """Return the request that replaces a service's live generation.

    Raises:
        SettingsError: There is no such service, it is pinned, or nothing of it is live.
    """
    known = _read_known(stack).choose(service)
    pin = known.ledger.pin
    if isinstance(pin, Pinned):
        raise SettingsError(
            f"The service {known.name} of {stack.name} is pinned, so it is not replaced",
            facts=[f"{key}: {value}" for key, value in render_pin(pin).items()],
            todo=f"First: ./immutable resume {stack.name} {known.name}",
        )
    if known.live is None:
        raise SettingsError(
            f"Nothing of {known.name} is live in {stack.name}, so there is nothing to replace",
            todo=f"Run `./immutable up {stack.name}`.",
        )
    return ServiceRequest(
        known.name, Request(again={known.name: why}, others_stay=True), launched=True
    )


def _read_known(stack: Opened) -> KnownStack:
    known = read_known(stack)
    known.require_all()
    return known


def _run(stack: Opened, asked: ServiceRequest, command: str, *, yes: bool) -> int:
    if asked.note:
        console.say(asked.note)
    return run_up(stack, yes=yes, request=asked.request, command=command)
