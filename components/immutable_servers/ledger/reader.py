"""Reads the ledger of the last run and completes it with what the target says.

Pulumi saves a stack's outputs after its deletes, so a run that was killed leaves the ledger one
step behind. So every run asks the target what exists and what serves.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from immutable_servers.contract.location import Location
from immutable_servers.contract.values import Fleet
from immutable_servers.ledger.pin import Pin, parse_pin
from immutable_servers.ledger.records import UNKNOWN, Record, ServiceLedger, State, unreadable
from immutable_servers.targets.questions import was_launched_again

OUTPUT = "ledger"
"""The stack output that holds the ledgers."""
FOLLOWING = ("state", "left_at")
"""Fields of an earlier record that follow the traffic: unknown after a run that left that out."""


def read_last_output() -> Any:  # noqa: ANN401 - whatever the last run exported
    """Return what the last run of this stack exported as its ledger, None before the first.

    Read synchronously: what a program registers after an `await` of its own is lost.

    Raises:
        LedgerError: The output is a secret, which cannot be read here.
    """
    import pulumi  # noqa: PLC0415 - the driver reads ledgers too, and need not wait for it
    from pulumi.runtime.sync_await import _sync_await  # noqa: PLC0415 - the same

    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    itself = pulumi.StackReference("this-stack", stack_name=name)
    details = _sync_await(itself.get_output_details(OUTPUT))
    if details.secret_value is not None:
        raise unreadable("ledger", "The output is a secret; the ledger holds names of secrets only")
    return details.value


def parse_ledgers(output: Any) -> dict[str, ServiceLedger]:  # noqa: ANN401 - not yet checked
    """Turn the output into a ledger for each service.

    A record that is or holds the engine's unknown string (it depended on what failed, or on what a
    run left out) is left out: the target's own record of that fleet takes its place.

    Raises:
        LedgerError: It is not what we wrote.
    """
    if output is None:
        return {}
    if not isinstance(output, Mapping):
        raise unreadable("ledger", f"It is {_describe(output)}, not a mapping of services")
    return {name: _parse_service(name, value) for name, value in output.items()}


def _describe(value: Any) -> str:  # noqa: ANN401 - anything may stand there
    return "the engine's unknown value" if value == UNKNOWN else f"of type {type(value).__name__}"


def _parse_service(name: str, value: Any) -> ServiceLedger:  # noqa: ANN401 - not yet checked
    if not isinstance(value, Mapping) or not isinstance(value.get("generations"), Mapping):
        raise unreadable(f"ledger.{name}", f"It is {_describe(value)}, not a service's ledger")
    generations: dict[str, Record] = {}
    for generation, plain in value["generations"].items():
        where = f"ledger.{name}.generations.{generation}"
        if plain == UNKNOWN:
            continue
        if not isinstance(plain, Mapping):
            raise unreadable(where, f"It is {_describe(plain)}, not a record")
        known = _without_unknown_state(plain)
        if UNKNOWN not in known.values():
            generations[generation] = Record.read(known, where)
    pin = _parse_pin(f"ledger.{name}.pin", value.get("pin", {}))
    return ServiceLedger(generations, pin, _parse_place(f"ledger.{name}.place", value.get("place")))


def _parse_place(where: str, value: Any) -> Location | None:  # noqa: ANN401 - not yet checked
    """Return where the servers are; None for a ledger of an earlier program."""
    if not value:
        return None
    try:
        place = Location.from_plain(value)
        texts = [place.target, place.host, *place.words.values()]
    except (TypeError, AttributeError) as error:
        raise unreadable(where, f"It is {_describe(value)}, not a place") from error
    if not all(isinstance(text, str) for text in texts):
        raise unreadable(where, "It holds what is not of type str")
    return place


def _parse_pin(where: str, value: Any) -> Pin | None:  # noqa: ANN401 - not yet checked
    if not isinstance(value, Mapping):
        raise unreadable(where, f"It is {_describe(value)}, not a pin")
    try:
        return parse_pin(value)
    except ValueError as error:
        raise unreadable(where, str(error)) from error


def _without_unknown_state(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Assume a state where it is unknown: what serves is read from the balancer anyway.

    Pulumi's SDK leaves out what is unknown; the driver reads the engine's unknown string.
    """
    known = {
        name: value for name, value in plain.items() if name not in FOLLOWING or value != UNKNOWN
    }
    verified = isinstance(plain.get("verified"), Mapping) and plain["verified"]
    return {"state": State.STANDBY if verified else State.CANDIDATE, **known}


def complete(
    ledger: ServiceLedger, fleets: Mapping[str, Fleet], traffic: Mapping[str, int]
) -> ServiceLedger:
    """Return the ledger with every fleet that exists, and each state as the target has it.

    A fleet that the ledger does not know was launched by a run that died: how it was launched comes
    from the target. Its verdict does not: whoever can write there could write one. It counts as
    unverified, with traffic too, until its own verification, which the state knows, says otherwise.
    So does one without traffic that was launched again since, when somebody imported an older
    state: the ledger's verdict is on other servers.
    """
    generations = dict(ledger.generations)
    for generation, fleet in fleets.items():
        known = generations.get(generation)
        idle = not traffic.get(generation)
        if known is None or (idle and _was_launched_again(known, fleet)):
            where = f"the target's record of generation {generation}"
            generations[generation] = _without_verdict(Record.read(fleet.record, where))
        elif not known.window_ends:
            ends = int(fleet.record.get("window_ends") or 0)
            generations[generation] = replace(known, window_ends=ends)
    serving = _find_serving(ledger, traffic)
    return ServiceLedger(
        {
            generation: replace(record, state=_find_state(record, fleets.get(generation), serving))
            for generation, record in generations.items()
        },
        ledger.pin,
        ledger.place,
    )


def _was_launched_again(record: Record, fleet: Fleet) -> bool:
    return was_launched_again(record.launched_at, int(fleet.record.get("launched_at") or 0))


def _without_verdict(record: Record) -> Record:
    """Return a target's record without what only a run may say of its generation."""
    return replace(record, state=State.CANDIDATE, verified={}, fault="", left_at=0)


def _find_serving(ledger: ServiceLedger, traffic: Mapping[str, int]) -> str:
    """Return the generation that serves, and of a killed canary's two the one from before it."""
    if traffic.get(ledger.live):
        return ledger.live
    return max(traffic, key=lambda generation: traffic[generation], default="")


def _find_state(record: Record, fleet: Fleet | None, serving: str) -> State:
    if fleet is None or fleet.leaving:
        return State.RETIRED
    if record.generation == serving:
        return State.LIVE
    return State.STANDBY if record.verified and not record.fault else State.CANDIDATE
