"""`rollback`, `resume` and `replace`: what a person asks of a service beside the source.

Each asks for one service. The stack's others do not follow the source in such a run.
"""

import getpass
import os
import time
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.fallback import choose_fallback, needs_launch
from immutable_servers.driver.known import KnownService, read_known
from immutable_servers.driver.retire import run_up
from immutable_servers.driver.setup.install import render_seconds
from immutable_servers.driver.status import read_outputs
from immutable_servers.errors import SettingsError
from immutable_servers.ledger import OUTPUT, parse_ledgers
from immutable_servers.records import Record
from immutable_servers.requests import Request, release, start_asking


def run_rollback(
    root: Path, stack: str, service: str, to: str, why: str, *, across: bool = False
) -> int:
    """Pin a service to an earlier generation and move its traffic there.

    Raises:
        SettingsError: The service or generation is none to go back to; those that are, are listed.
    """
    began = time.monotonic()
    known = read_known(root, stack)
    chosen = known.choose(service)
    record = choose_fallback(known, chosen, to, across=across)
    launched = needs_launch(chosen, record)
    how = "its artifact is launched again, without a bake" if launched else "its servers run"
    console.say(f"{chosen.name} goes back to generation {record.generation}: {how}")
    pin = _make_pin(chosen, record, why)
    code = _run(root, stack, Request(pins={chosen.name: pin}, others_stay=True))
    if code:
        _explain_pin(root, stack, chosen.name, pin)
        return code
    took = render_seconds(time.monotonic() - began)
    done = "a launch and a verification" if launched else "a change of traffic"
    console.say(
        f"{chosen.name} went back in {took}, with {done}. It is pinned: later runs keep it,"
        " whatever the source says.\n"
        f"Go on with: ./immutable resume {stack} {chosen.name}"
    )
    return 0


def _make_pin(service: KnownService, chosen: Record, why: str) -> dict[str, str]:
    live = service.live
    return {
        "generation": chosen.generation,
        "who": os.environ.get("USER") or getpass.getuser(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "why": why,
        "left": service.ledger.pin.get("left") or (live.version if live else ""),
    }


def _explain_pin(root: Path, stack: str, service: str, pin: dict[str, str]) -> None:
    """Say how to go on after a run that failed to roll back, when its pin is in the ledger."""
    now = parse_ledgers(read_outputs(root, stack).get(OUTPUT))[service].pin
    if now.get("at") == pin["at"]:
        console.say(
            f"{service} is pinned, and what served before serves. `./immutable up {stack}` tries"
            f" again; to give it up: ./immutable resume {stack} {service}"
        )


def run_resume(root: Path, stack: str, service: str, *, now: bool) -> int:
    """Take a service's pin away; the version left by the rollback is held off, unless `now`.

    Raises:
        SettingsError: The service is not pinned.
    """
    known = read_known(root, stack).choose(service)
    pin = known.ledger.pin
    if not pin:
        raise SettingsError(
            f"The service {known.name} of {stack} is not pinned",
            todo="Nothing needs to be resumed: `./immutable up` follows the source.",
        )
    held = {} if now else release(pin) or {key: pin[key] for key in ("held",) if key in pin}
    if held:
        console.say(
            f"{known.name} stays as it is until the source gives another version than"
            f" {held['held']}; to take that one: ./immutable resume {stack} {known.name} --now"
        )
    return _run(root, stack, Request(pins={known.name: held}, others_stay=True))


def run_replace(root: Path, stack: str, service: str, why: str) -> int:
    """Make the live generation again as the next round: the same image, new servers.

    Raises:
        SettingsError: There is no such service, it is pinned, or nothing of it is live.
    """
    known = read_known(root, stack).choose(service)
    if known.ledger.pin.get("generation"):
        raise SettingsError(
            f"The service {known.name} of {stack} is pinned, so it is not replaced",
            facts=[f"{key}: {value}" for key, value in known.ledger.pin.items()],
            todo=f"First: ./immutable resume {stack} {known.name}",
        )
    if known.live is None:
        raise SettingsError(
            f"Nothing of {known.name} is live in {stack}, so there is nothing to replace",
            todo=f"Run `./immutable up {stack}`.",
        )
    return _run(root, stack, Request(again={known.name: why}, others_stay=True))


def _run(root: Path, stack: str, request: Request) -> int:
    with start_asking(request):
        return run_up(root, stack, yes=False)
