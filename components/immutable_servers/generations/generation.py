"""One generation as a component: access, launch template and fleet, retirement, verification, seal.

Its resources carry the generation's id in their names, so that a new generation is new resources
and the old one stays an ordinary resource until Pulumi deletes it, last.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
from pulumi import Input, Output, ResourceOptions

from immutable_servers.contract.graph import Graph
from immutable_servers.generations.access import Access
from immutable_servers.generations.retirement import Retirement
from immutable_servers.ledger.records import Record
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
        folders: The checks' folders, relative to the project.
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
    folders: tuple[str, ...]
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
        record: Its record for the ledger, completed by this run.
        retirement: The resource that Pulumi deletes before the fleet.
    """

    ready_generation: Output[str]
    verified_launch: Output[int]
    verdict: Output[str]
    failures: Output[list[str]]
    record: Output[dict[str, Any]]

    def __init__(self, args: GenerationArgs, opts: ResourceOptions | None = None) -> None:
        """Register the generation's resources."""
        super().__init__("immutable-servers:index:Generation", args.name, {}, opts)
        # A frozen generation keeps the inputs of its launch, whatever the program says by now.
        ignored = EVERYTHING if args.frozen else None
        access = Access(args.name, args.place, self._child(ignore_changes=ignored))
        fleet = self._launch(args, access)
        self.retirement = Retirement(
            args.name,
            args.place,
            args.drain,
            fleet.id,
            # Under `--replace` a generation that serves refuses this deletion. If the deletion came
            # last, the state would keep it as pending, and it would be refused in every run.
            self._child(ignore_changes=ignored, delete_before_replace=True),
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
        self.record = self._complete_record(args, access, verification)
        self.register_outputs(
            {"generation": args.record.generation, "verdict": verification.verdict}
        )

    def _child(self, **options: Any) -> ResourceOptions:  # noqa: ANN401 - Pulumi's own options
        return ResourceOptions(parent=self, **options)

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
            "folders": list(args.folders),
            "before_traffic": list(args.before_traffic),
            "artifact": args.artifact,
            "launch": record.launch,
            "launched_at": access.launched_at,
            "verified_by": record.checks if record.verified else None,
            "retirement": retirement.id,
            "image": record.image,
            "images": record.images,
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
        ).apply(
            lambda found: {
                **plain,
                **found,
                **(proven if found["verified"] else {"verified": plain["verified"]}),
            }
        )
