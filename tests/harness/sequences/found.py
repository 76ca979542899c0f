"""Sequences that once failed, on the simulated engine and the real one."""

from collections.abc import Mapping, Sequence

from harness.sequences.operations import Operation

FOUND: Mapping[str, Sequence[Operation]] = {
    "a pointer in no state, and left out": (
        Operation(changes=("say two",)),
        Operation(changes=("forget Traffic",), flags=("--exclude", "**Traffic::*")),
    ),
    "a seal that no program declares any more, and is a target": (
        Operation(changes=("say two", "keep none"), fault="after traffic: refuse"),
        Operation(flags=("--target", "**Seal::*")),
        Operation(flags=("--target", "**Traffic::*")),
        Operation(flags=("--target", "**Seal::*")),
        Operation(flags=("--target", "**InstantFleet::*")),
    ),
    "keys of a sealed generation that a dead run made": (
        Operation(fault="after key: kill provider", flags=("--replace", "**Access::*")),
        Operation(),
        Operation(fault="before key: kill provider", flags=("--replace", "**Access::*")),
    ),
    "another canary for what failed, after a roll back of something else": (
        Operation(changes=("say three",)),
        Operation(changes=("a canary that is bad with all", "lose the fleet")),
        Operation(ask="roll back further"),
    ),
    "a bake that takes longer than a login window": (
        Operation(changes=("say two",), fault="after bake: take an hour"),
    ),
    "a login by the keys of a live generation": (
        Operation(changes=("forget Access",), fault="half launch: kill engine"),
        Operation(changes=("log in as printed",)),
    ),
    "a run that leaves out a balancer that the state has lost": (
        Operation(changes=("forget InstantBalancer",), flags=("--exclude", "**InstantBalancer::*")),
    ),
    "a login after the state lost the login window of a verified candidate": (
        Operation(changes=("promise too much",)),
        Operation(changes=("forget Access",)),
        Operation(changes=("log in as printed",)),
        Operation(changes=("import an old state",)),
    ),
    "a fleet that is larger than an imported state says": (
        Operation(changes=("two servers",)),
        Operation(changes=("import the last state",), flags=("--replace", "**InstantBalancer::*")),
        Operation(changes=("one server",)),
    ),
    "a verdict on a new service whose traffic a run leaves out": (
        Operation(changes=("add a service",), flags=("--exclude", "**Traffic::*")),
    ),
    "a login by the key of a dead run, before the state loses the fleet": (
        Operation(changes=("a bad canary",)),
        Operation(fault="after key: kill engine", flags=("--replace", "**Access::web-*")),
        Operation(changes=("log in by the key",)),
        Operation(changes=("forget InstantFleet",)),
    ),
}
"""By what happens in them; played on both engines."""

FOUND_WITH_A_CLOCK: Mapping[str, Sequence[Operation]] = {
    "a fleet that no state knows, and a ledger that has its candidate": (
        Operation(changes=("medium",), fault="after launch: kill provider"),
        Operation(changes=("break",)),
        Operation(changes=("mend",), wait=7200),
        Operation(ask="roll back", flags=("--target", "**InstantFleet::*")),
    ),
    "a login to a candidate that is verified and not sealed": (
        Operation(changes=("another env",), kill_at=5.5),
        Operation(flags=("--target", "**Verification::web-*")),
        Operation(changes=("log in by the key",)),
    ),
    "a candidate that was launched again, and an older state": (
        Operation(changes=("a bad canary",)),
        Operation(changes=("upgrade",)),
        Operation(),
        Operation(changes=("import an old state",)),
        Operation(),
        Operation(changes=("import an old state",)),
    ),
    "a clock that is set back while a candidate cannot be verified": (
        Operation(changes=("a bad canary",)),
        Operation(changes=("medium",)),
        Operation(flags=("--replace", "**Access::*")),
        Operation(wait=-31536000),
    ),
}
"""Sequences that wait for something, or are killed at a step: for the simulated engine alone."""
