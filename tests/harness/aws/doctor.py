"""Asks an emulated account what `doctor` asks, line by line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import botocore.client
import botocore.exceptions
import pytest

from clouds.aws.emulation.patched_account import Account, patch_account
from harness import doctor
from harness.aws.aws_world import REGION, World, make_target, start_emulation
from harness.doctor import ask_one, get_one
from immutable_servers.contract.readiness import (
    Demand,
    Finding,
    Status,
)
from immutable_servers.targets.aws.faults import IAM_NAMES
from immutable_servers.targets.aws.policies import read_statements

ROLES = ("preview", "bake", "deploy")
make_demand = partial(doctor.make_demand, starts={"base": {"amis": {REGION: "ami-1"}}})


@dataclass
class Doctor:
    """An account with what AWS gives a new one, and what of it may not be asked.

    Attributes:
        denied: Operations that are refused, in PascalCase.
        codes: Operations that fail with another code.
        called: What was called, as IAM names it, with its arguments.
    """

    world: World
    account: Account
    denied: set[str] = field(default_factory=set)
    codes: dict[str, str] = field(default_factory=dict)
    called: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def ask(self, what: str, demand: Demand | None = None, **settings: Any) -> Sequence[Finding]:  # noqa: ANN401
        """Return the lines of one check."""
        return ask_one(make_target(**settings).readiness, what, demand or make_demand())

    def see(self, what: str, demand: Demand | None = None, **settings: Any) -> Finding:  # noqa: ANN401
        """Return the only line of one check; each that is not ok has a way out."""
        return get_one(self.ask(what, demand, **settings))

    def status(self, what: str, demand: Demand | None = None, **settings: Any) -> Status:  # noqa: ANN401
        """Return the status of the only line of one check."""
        return self.see(what, demand, **settings).status


@contextmanager
def start_doctor() -> Iterator[Doctor]:
    """Emulate an account whose default VPC has an internet gateway, as Amazon's has."""
    everything = [one for role in ROLES for one in read_statements(role)]
    account = Account(statements=everything)
    with start_emulation(), patch_account(account), pytest.MonkeyPatch.context() as patch:
        world = World()
        world.client("iam").create_role(
            RoleName="deployer", Path="/ci/", AssumeRolePolicyDocument="{}"
        )
        made = Doctor(world, account)
        _refuse(made, patch)
        yield made


def _refuse(asked: Doctor, patch: pytest.MonkeyPatch) -> None:
    """Refuse what the doctor's account refuses, in the words of AWS."""
    original = botocore.client.BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3's
        service = client.meta.service_model.service_name
        action = f"{IAM_NAMES.get(service, service)}:{operation}"
        asked.called.append((action, arguments))
        code = asked.codes.get(operation, "")
        if operation in asked.denied:
            code = "UnauthorizedOperation" if service == "ec2" else "AccessDenied"
        if code:
            error = {"Code": code, "Message": f"not authorized to perform: {action}"}
            raise botocore.exceptions.ClientError({"Error": error}, operation)
        return original(client, operation, arguments)

    patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
