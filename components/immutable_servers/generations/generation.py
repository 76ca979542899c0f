"""One generation as a component: access, launch template and fleet, retirement, verification, seal.

Its resources carry the generation's id in their names, so that a new generation is new resources
and the old one stays an ordinary resource until Pulumi deletes it, last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.graph import Graph
from immutable_servers.contract.values import Launch
from immutable_servers.generations.access import Access
from immutable_servers.generations.retirement import Retirement
from immutable_servers.ledger.records import Record
from immutable_servers.resources.outputs import wait_for
from immutable_servers.targets.place import Place
from immutable_servers.verification.resource import Verification
from immutable_servers.verification.seal import Seal

EVERYTHING = ["*"]


@dataclass(frozen=True)
class GenerationArgs:
    """Inputs of one generation.

    Attributes:
        record: Its record, complete but for what this run finds out.
        artifact: The id of its image: the record's, or for a fresh one the bake's output.
        frozen: It exists, so no change of program, catalog or setting touches its servers.
        servers: How many servers it shall have.
        checks: Digest of the checks that it must pass.
        planned: Digest of the checks as the plan read them: those that a run executes.
        folders: The checks' folders, relative to the project.
        checks_env: Names of variables that the checks may see beside the common ones.
        before_traffic: Commands for one of its servers once the checks have passed.
        drain: Seconds that old connections may take.
        place: Its place at the target.
        balancer: The stack's balancer, declared before.
        target: The target that declares the fleet.
    """

    record: Record
    artifact: Input[str]
    frozen: bool
    servers: int
    checks: str
    planned: str
    folders: tuple[str, ...]
    checks_env: tuple[str, ...]
    before_traffic: tuple[str, ...]
    drain: float
    place: Place
    balancer: pulumi.CustomResource
    graph: Graph = field(repr=False)

    @property
    def name(self) -> str:
        """Service and generation id, as in `web-3f2a9c41`."""
        return f"{self.place.scope.service}-{self.record.generation}"


class Generation(pulumi.ComponentResource):
    """A fleet of identical servers, with its verification and its retirement.

    Attributes:
        ready_generation: Its id once its verification passed and it is sealed, else empty.
        verified_launch: Launch time of the servers that its verification looked at.
        verdict: `passed` or `failed`.
        failures: One line for each failed check.
        inspection: How to look at its servers after a failure.
        todo: What the reader may do about a failure.
        verified: When and how its verification passed; empty when it failed, or nothing was run.
        record: Its record for the ledger, completed by this run.
        retirement: The resource that Pulumi deletes before the fleet.
    """

    ready_generation: Output[str]
    verified_launch: Output[int]
    verdict: Output[str]
    failures: Output[list[str]]
    inspection: Output[list[str]]
    todo: Output[str]
    verified: Output[dict[str, str]]
    record: Output[dict[str, Any]]

    def __init__(self, args: GenerationArgs, opts: ResourceOptions | None = None) -> None:
        """Register the generation's resources."""
        super().__init__("immutable-servers:index:Generation", args.name, {}, opts)
        # A frozen generation keeps the inputs of its launch, whatever the program says by now.
        ignored = EVERYTHING if args.frozen else None
        # The window opens with the launch, so all comes first that may take its time.
        needed = [args.balancer, *self._prepare(args)]
        access = Access(
            args.name,
            args.place,
            args.artifact,
            [wait_for(one) if args.frozen else one.id for one in needed],
            self._child(),
            launched=args.frozen,
        )
        fleet = self._launch(args, access)
        self.retirement = Retirement(
            args.name,
            args.place,
            args.drain,
            fleet.id,
            self._child(ignore_changes=ignored),
        )
        verification = Verification(
            args.name,
            args.place,
            self._describe_verification(args, access, self.retirement),
            self._child(depends_on=[fleet]),
        )
        seal = Seal(
            args.name,
            args.place,
            verification.passed_generation,
            verification.verified_launch,
            access.launched_at,
            self._child(),
        )
        self.ready_generation = seal.ready_generation
        self.verified_launch = verification.verified_launch
        self.verdict = verification.verdict
        self.failures = verification.failures
        self.inspection, self.todo = verification.inspection, verification.todo
        self.verified = verification.verified.apply(lambda found: found or {})
        self.record = self._complete_record(args, access, verification)
        self.register_outputs(
            {"generation": args.record.generation, "verdict": verification.verdict}
        )

    def _child(self, **options: Any) -> ResourceOptions:  # noqa: ANN401 - Pulumi's own options
        return ResourceOptions(parent=self, **options)

    def _prepare(self, args: GenerationArgs) -> Sequence[pulumi.CustomResource]:
        return args.graph.prepare_fleet(
            args.name,
            args.place.scope,
            Launch.from_plain(args.record.launch),
            frozen=args.frozen,
            opts=self._child(),
        )

    def _launch(self, args: GenerationArgs, access: Access) -> pulumi.CustomResource:
        record = {
            **args.record.to_plain(),
            "artifact": args.artifact,
            "window_ends": access.window_ends,
            "launched_at": access.launched_at,
        }
        spec: dict[str, Input[Any]] = {
            "scope": args.place.scope.to_plain(),
            "artifact": args.artifact,
            "launch": args.record.launch,
            "servers": args.servers,
            "record": record,
            "balancer": args.balancer.id,
            "public_key": access.public_key,
            "window_ends": access.window_ends,
            "inspection_key": access.inspection_key,
        }
        return args.graph.declare_fleet(
            args.name,
            spec,
            frozen=args.frozen,
            opts=self._child(depends_on=[access]),
        )

    def _describe_verification(
        self, args: GenerationArgs, access: Access, retirement: Retirement
    ) -> dict[str, Input[Any]]:
        record = args.record
        return {
            "checks": args.checks,
            "planned": args.planned,
            "folders": list(args.folders),
            "checks_env": list(args.checks_env),
            "before_traffic": list(args.before_traffic),
            "artifact": args.artifact,
            "launch": record.launch,
            "launched_at": access.launched_at,
            "verified_by": record.checks if record.verified else None,
            "retirement": retirement.id,
            "image": record.image,
            "images": record.images,
            "digest": record.digest,
        }

    def _complete_record(
        self, args: GenerationArgs, access: Access, verification: Verification
    ) -> Output[dict[str, Any]]:
        # A run that verified nothing, or failed, keeps what an earlier verification has proven.
        plain = replace(args.record, servers=args.servers).to_plain()
        proven = {"checks": args.checks}
        return Output.all(
            artifact=args.artifact,
            window_ends=access.window_ends,
            launched_at=access.launched_at,
            verified=verification.verified,
            inspected=verification.inspected,
        ).apply(
            lambda found: {
                **plain,
                **found,
                "inspected": found["inspected"] or "",
                **(proven if found["verified"] else {"verified": plain["verified"]}),
            }
        )
