"""`rollback`, `resume` and `replace`: what a person asks of a service beside the source."""

import getpass
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from immutable_servers.driver import console
from immutable_servers.driver.project import read_project, read_values
from immutable_servers.driver.runs import run_up
from immutable_servers.driver.setup.install import install_missing
from immutable_servers.driver.setup.table import ENGINE
from immutable_servers.driver.status import read_outputs
from immutable_servers.errors import SettingsError
from immutable_servers.ledger import complete, parse_ledgers
from immutable_servers.records import Record, ServiceLedger, State
from immutable_servers.requests import VARIABLE, Request, release
from immutable_servers.settings import load_settings
from immutable_servers.targets import load_target
from immutable_servers.targets.contract import Scope


@dataclass(frozen=True)
class Known:
    """A service of a stack as ledger and target have it."""

    service: str
    ledger: ServiceLedger

    @property
    def live(self) -> Record | None:
        """The generation that has the traffic."""
        records = self.ledger.generations.values()
        return next((record for record in records if record.state is State.LIVE), None)

    @property
    def earlier(self) -> list[Record]:
        """The verified generations that are not live, the newest first."""
        records = [
            record
            for record in self.ledger.generations.values()
            if record.verified and record.state is not State.LIVE
        ]
        return sorted(records, key=lambda record: -record.order)


def run_rollback(root: Path, stack: str, service: str, to: str, why: str) -> int:
    """Pin a service to an earlier generation and move its traffic there.

    Raises:
        SettingsError: The service or generation is none to go back to; those that are, are listed.
    """
    known = find_known(root, stack, service)
    chosen = choose(known, to)
    live = known.live
    pin = {
        "generation": chosen.generation,
        "who": os.environ.get("USER") or getpass.getuser(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "why": why,
        "left": known.ledger.pin.get("left") or (live.version if live else ""),
    }
    how = "its servers run" if chosen.state is State.STANDBY else "its artifact is launched again"
    console.say(f"{known.service} goes back to generation {chosen.generation}: {how}")
    code = _run(root, stack, Request(pins={known.service: pin}))
    if code == 0:
        console.say(
            f"{known.service} is pinned: later runs keep it, whatever the source says.\n"
            f"Go on with: ./immutable resume {stack} {known.service}"
        )
    return code


def run_resume(root: Path, stack: str, service: str, *, now: bool) -> int:
    """Take a service's pin away; the version left by the rollback is held off, unless `now`.

    Raises:
        SettingsError: The service is not pinned.
    """
    known = find_known(root, stack, service)
    pin = known.ledger.pin
    if not pin:
        raise SettingsError(
            f"The service {known.service} of {stack} is not pinned",
            todo="Nothing needs to be resumed: `./immutable up` follows the source.",
        )
    held = {} if now else release(pin) or {key: pin[key] for key in ("held",) if key in pin}
    if held:
        console.say(
            f"{known.service} stays as it is until the source gives another version than"
            f" {held['held']}; to take that one: ./immutable resume {stack} {known.service} --now"
        )
    return _run(root, stack, Request(pins={known.service: held}))


def run_replace(root: Path, stack: str, service: str, why: str) -> int:
    """Make the live generation again as the next round: the same image, new servers.

    Raises:
        SettingsError: There is no such service, or it is pinned.
    """
    known = find_known(root, stack, service)
    if known.ledger.pin.get("generation"):
        raise SettingsError(
            f"The service {known.service} of {stack} is pinned, so it is not replaced",
            facts=[f"{key}: {value}" for key, value in known.ledger.pin.items()],
            todo=f"First: ./immutable resume {stack} {known.service}",
        )
    return _run(root, stack, Request(again={known.service: why}))


def find_known(root: Path, stack: str, service: str) -> Known:
    """Return what is known of a service; of the only one where none is named.

    Raises:
        SettingsError: There is no such service, or several and none is named.
    """
    values = read_values(root, stack)
    install_missing(ENGINE, yes=False)
    settings = load_settings(values, root)
    ledgers = parse_ledgers(read_outputs(root, stack).get("ledger"))
    if not service and len(ledgers) == 1:
        service = next(iter(ledgers))
    if service not in ledgers:
        raise SettingsError(
            f"There is no service {service!r} in {stack}" if service else "Which service?",
            facts=[f"Services of {stack}: {', '.join(sorted(ledgers)) or 'none, it is empty'}"],
            todo="Name one of them after the stack.",
        )
    target = load_target(settings.target, settings.target_settings)
    scope = replace(Scope(str(read_project(root).get("name", "")), stack), service=service)
    ledger = complete(ledgers[service], target.find_fleets(scope), target.find_traffic(scope))
    return Known(service, ledger)


def choose(known: Known, to: str) -> Record:
    """Return the generation to go back to: the newest standby, or the one named.

    Raises:
        SettingsError: There is nothing to go back to, or the one named is none of them.
    """
    earlier = known.earlier
    standbys = [record for record in earlier if record.state is State.STANDBY]
    if not to and standbys:
        return standbys[0]
    found = next((record for record in earlier if to and record.generation == to), None)
    if found:
        return found
    what = f"Generation {to!r} is none that" if to else "There is no standby that"
    if to and known.live and known.live.generation == to:
        what = f"Generation {to} is live already, so it is none that"
    raise SettingsError(
        f"{what} {known.service} can go back to",
        facts=[_describe(record) for record in earlier] or ["No earlier generation was verified."],
        todo="Name one of these with --to." if earlier else "Mend the source instead.",
    )


def _describe(record: Record) -> str:
    images = ", ".join(f"{image} {version}" for image, version in record.images.items())
    return f"{record.generation}: {record.state}, {images}, verified {record.verified.get('at')}"


def _run(root: Path, stack: str, request: Request) -> int:
    os.environ[VARIABLE] = request.render()
    return run_up(root, stack, yes=False)
