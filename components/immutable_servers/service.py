"""One service: its release, its generations, its traffic, and its part of the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.front import Front
from immutable_servers.contract.graph import Graph
from immutable_servers.generations.generation import Generation, GenerationArgs
from immutable_servers.generations.release import Release
from immutable_servers.ledger.pin import render_pin
from immutable_servers.ledger.records import Record, ServiceLedger, State, render_place
from immutable_servers.planning.service import Plan
from immutable_servers.settings import ServiceSettings
from immutable_servers.targets.place import Place
from immutable_servers.traffic.resource import Traffic
from immutable_servers.traffic.shares import Shares


@dataclass(frozen=True)
class ServiceArgs:
    """What a service is made from.

    Attributes:
        settings: Its section of the stack file.
        plan: What this run declares.
        ledger: What is known of its generations.
        artifact: The id of the image that a fresh generation is launched from.
        front: How its own address is asked.
        balancer: The stack's load balancer.
    """

    settings: ServiceSettings
    plan: Plan
    ledger: ServiceLedger
    artifact: Input[str]
    place: Place
    front: Front
    balancer: pulumi.CustomResource
    graph: Graph = field(repr=False)


class Service(pulumi.ComponentResource):
    """A service with its generations behind one address.

    Attributes:
        live: The generation that serves after the run.
        result: The verdict on its desired generation, for the stack's `Verdict`.
        advice: What the reader may do about a failure, for the same.
        ledger: Its generations' records and its pin.
        traffic: Its pointer at the balancer.
    """

    live: Output[str]
    result: dict[str, Input[Any]]
    advice: dict[str, Input[Any]]
    ledger: dict[str, Any]

    def __init__(self, name: str, args: ServiceArgs, opts: ResourceOptions | None = None) -> None:
        """Declare what the plan says."""
        super().__init__("immutable-servers:index:Service", name, {}, opts)
        plan = args.plan
        child = ResourceOptions(parent=self)
        shares = Shares(name, args.place, args.ledger.live, child)
        Release(name, plan.desired.generation, plan.desired.images, child)
        others = {record.generation: self._declare(args, record) for record in plan.others}
        desired = self._declare(args, plan.desired)
        self.traffic = Traffic(
            name,
            args.place,
            desired.ready_generation,
            desired.verified_launch,
            [generation.retirement.id for generation in [desired, *others.values()]],
            shares.id,
            args.front.to_plain(),
            _describe_canary(args),
            ResourceOptions(parent=self, protect=True),
        )
        self.live = self.traffic.live
        self.result = {
            "generation": plan.desired.generation,
            "verdict": desired.verdict,
            "failures": desired.failures,
            "live": self.live,
            "fault": _find_fault(plan, self.traffic),
        }
        leaves = _leaves(args)
        self.advice = {
            "inspection": _list_logs(args) if leaves else desired.inspection,
            "todo": desired.todo,
            "leaves": leaves,
        }
        verdicts = {generation: other.verified for generation, other in others.items()}
        self.ledger = _render_ledger(args, desired.record, verdicts, self.traffic)
        self.register_outputs({"live": self.live})

    def _declare(self, args: ServiceArgs, record: Record) -> Generation:
        """Declare a generation; only the desired one takes servers and checks from the plan.

        All others are declared by their records, so that no change of program, catalog or settings
        touches a server that exists.
        """
        wished = record is args.plan.desired
        # Changed checks are proven on a new server, whose artifact must be in the catalog now. The
        # fleet is frozen and keeps the artifact that it was launched from.
        has_artifact = record.artifact and not (wished and args.plan.proves)
        return Generation(
            GenerationArgs(
                record=record,
                artifact=record.artifact if has_artifact else args.artifact,
                frozen=not (wished and args.plan.fresh),
                servers=args.plan.servers if wished else record.servers,
                checks=args.plan.checks if wished else record.checks,
                planned=args.plan.source_checks,
                folders=tuple(args.settings.checks),
                checks_env=args.settings.checks_env,
                # These commands prepare the way forward; a service that went back needs none.
                before_traffic=() if args.plan.pin else args.settings.before_traffic,
                drain=args.settings.drain,
                place=args.place.at(record.generation),
                balancer=args.balancer,
                graph=args.graph,
            ),
            ResourceOptions(parent=self),
        )


def _describe_canary(args: ServiceArgs) -> dict[str, Any] | None:
    """Return what the desired generation must reach; None where it has served before."""
    canary = args.settings.canary
    return dict(canary) if canary and not args.plan.desired.left_at else None


def _leaves(args: ServiceArgs) -> bool:
    """Return whether `up` removes the desired generation after it failed: one serves beside it."""
    live, desired = args.ledger.live, args.plan.desired.generation
    return args.settings.on_failure == "remove" and live not in ("", desired)


def _list_logs(args: ServiceArgs) -> list[str]:
    """Return how to read what servers have printed that are gone, where the target keeps it."""
    scope, generation = args.place.scope, args.plan.desired.generation
    command = f"./immutable logs {scope.service} --generation {generation} --stack {scope.stack}"
    return [f"all that its servers printed: {command}"] if args.place.load().consoles_hint else []


def _find_fault(plan: Plan, traffic: Traffic) -> Output[str]:
    """Return the fault that the desired generation showed under traffic, empty for another's."""
    desired = plan.desired.generation
    return Output.all(traffic.tried, traffic.fault).apply(
        lambda found: found[1] if found[0] == desired else ""
    )


def _render_ledger(
    args: ServiceArgs,
    desired: Output[dict[str, Any]],
    verdicts: Mapping[str, Output[dict[str, str]]],
    traffic: Traffic,
) -> dict[str, Any]:
    """Return the service's part of the ledger, as the stack exports it.

    Args:
        args: The service's.
        desired: The record of the desired generation.
        verdicts: What the verifications of the other declared generations say in this run.
        traffic: The service's pointer.
    """
    live = traffic.live
    # Earlier records are plain values: had they been outputs, a failure of this run would turn them
    # into the engine's unknown string. State and `left_at` must follow the traffic; a reader that
    # finds an unknown state asks the target instead.
    generations: dict[str, Any] = {}
    for record in args.ledger.list_kept(args.plan.desired.generation):
        # What a run verified that died after the move: its verification in the state still says so.
        verified = record.verified or verdicts.get(record.generation, {})
        generations[record.generation] = {
            **record.to_plain(),
            "verified": verified,
            "state": Output.all(live, verified).apply(
                partial(_find_state_after, args.plan, record)
            ),
            "left_at": live.apply(partial(find_left_at, args.plan, record)),
        }
    # All of the desired record depends on this run. When the run fails it is lost here, and the
    # copy that the target keeps with the fleet takes its place.
    generations[args.plan.desired.generation] = Output.all(
        desired, live, _find_fault(args.plan, traffic)
    ).apply(
        lambda found: {
            **found[0],
            "fault": found[2],
            **_find_desired_state({**found[0], "fault": found[2]}, found[1]),
        }
    )
    return {
        "pin": render_pin(args.plan.pin),
        "place": render_place(args.ledger.place),
        "generations": generations,
    }


def _find_state_after(plan: Plan, record: Record, found: Sequence[Any]) -> str:
    """Return the state of an earlier generation, by who is live and by its own verdict."""
    live, verified = found
    if live == record.generation:
        return str(State.LIVE)
    if live != plan.desired.generation or record.state is State.RETIRED:
        return str(record.state)
    if record in plan.going:
        return str(State.RETIRED)
    return str(State.STANDBY if verified and not record.fault else State.CANDIDATE)


def find_left_at(plan: Plan, record: Record, live: str) -> int:
    """Return when traffic left an earlier generation: in this run, or as it was recorded.

    A standby without that record (the run that moved the traffic died) counts as left now.
    """
    if live == record.generation:
        return 0
    left = record.state is State.LIVE and live == plan.desired.generation
    unknown = not record.left_at and record in plan.others
    return plan.decided_at if left or unknown else record.left_at


def _find_desired_state(record: Mapping[str, Any], live: str) -> dict[str, Any]:
    if live == record["generation"]:
        return {"state": str(State.LIVE), "left_at": 0}
    stands_by = record["verified"] and not record["fault"]
    return {"state": str(State.STANDBY if stands_by else State.CANDIDATE)}
