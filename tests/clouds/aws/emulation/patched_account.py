"""What an account allows: rights, quotas and its plan, which moto has none of.

Answers have the shape that botocore's models give them, and are checked against it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.sts.models import STSBackend

ACCOUNT = "123456789012"


@dataclass
class Account:
    """An account as a test wants it.

    Attributes:
        caller: The ARN that `GetCallerIdentity` says.
        statements: What the caller's policies allow.
        quotas: By code; what is not named is AWS's default.
        defaults: AWS's defaults by code.
        plan: `FREE` or `PAID`.
        groups: How many Auto Scaling groups it may have.
        simulated: Actions that were asked for.
    """

    caller: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
    statements: Sequence[Mapping[str, Any]] = ()
    quotas: dict[str, float] = field(default_factory=dict)
    defaults: dict[str, float] = field(
        default_factory=lambda: {"L-1216C47A": 64.0, "L-0EA8095F": 60.0}
    )
    plan: str = "PAID"
    groups: int = 500
    simulated: list[str] = field(default_factory=list)


@contextmanager
def patch_account(account: Account) -> Iterator[None]:
    """Make moto answer for this account."""
    with pytest.MonkeyPatch.context() as patch:
        identity = lambda *_, **__: ("AROAEXAMPLE:session", account.caller, ACCOUNT)  # noqa: E731
        patch.setattr(STSBackend, "get_caller_identity", identity)
        _patch_quotas(account, patch)
        _patch_rights(account, patch)
        _patch_plan(account, patch)
        yield


def _check_shape(service: str, operation: str, answer: Mapping[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model(service)
    shape = model.operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()


def _patch_quotas(account: Account, patch: pytest.MonkeyPatch) -> None:
    def render(service: str, code: str, values: Mapping[str, float]) -> dict[str, Any]:
        if code not in values:
            raise NoSuchResource
        quota = {"ServiceCode": service, "QuotaCode": code, "Value": values[code], "Unit": "None"}
        _check_shape("service-quotas", "GetServiceQuota", {"Quota": quota})
        return quota

    def get_service_quota(_backend: Any, service_code: str, quota_code: str) -> dict[str, Any]:  # noqa: ANN401
        return render(service_code, quota_code, account.quotas)

    def get_default(response: Any) -> str:  # noqa: ANN401 - moto's class
        asked = json.loads(response.body)
        found = render(asked["ServiceCode"], asked["QuotaCode"], account.defaults)
        return json.dumps({"Quota": found})

    patch.setattr(ServiceQuotasBackend, "get_service_quota", get_service_quota)
    patch.setattr(
        ServiceQuotasResponse, "get_aws_default_service_quota", get_default, raising=False
    )

    def describe_account_limits(response: Any) -> ActionResult:  # noqa: ANN401 - moto's class
        backend = response.autoscaling_backend
        answer = {
            "MaxNumberOfAutoScalingGroups": account.groups,
            "NumberOfAutoScalingGroups": len(backend.autoscaling_groups),
        }
        _check_shape("autoscaling", "DescribeAccountLimits", answer)
        return ActionResult(answer)

    patch.setattr(
        AutoScalingResponse, "describe_account_limits", describe_account_limits, raising=False
    )


def _patch_rights(account: Account, patch: pytest.MonkeyPatch) -> None:
    def simulate_principal_policy(response: Any) -> ActionResult:  # noqa: ANN401 - moto's class
        actions = response._get_param("ActionNames", [])
        (resource,) = response._get_param("ResourceArns", [])
        assert not any("*" in action for action in actions), "IAM takes no wildcards"
        assert resource == "*" or "*" not in resource, resource
        entries = response._get_param("ContextEntries", [])
        context = {one["ContextKeyName"]: one["ContextKeyValues"][0] for one in entries}
        account.simulated.extend(actions)
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed"
                if _is_allowed(account.statements, action, resource, context)
                else "implicitDeny",
            }
            for action in actions
        ]
        answer = {"EvaluationResults": results, "IsTruncated": False}
        _check_shape("iam", "SimulatePrincipalPolicy", answer)
        return ActionResult(answer)

    patch.setattr(
        IamResponse, "simulate_principal_policy", simulate_principal_policy, raising=False
    )


def _is_allowed(
    statements: Sequence[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    """Return whether a statement allows it, as AWS decides; a key that is not there never fits.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    return any(
        any(fnmatchcase(action, one) for one in _list(statement["Action"]))
        and any(fnmatchcase(resource, one) for one in _list(statement["Resource"]))
        and all(
            key in context
            and any(
                fnmatchcase(
                    context[key], one.replace("${aws:userid}", context.get("aws:userid", ""))
                )
                for one in _list(values)
            )
            for keys in statement.get("Condition", {}).values()
            for key, values in keys.items()
        )
        for statement in statements
    )


def _list(value: Any) -> Sequence[str]:  # noqa: ANN401 - JSON has one or several
    return [value] if isinstance(value, str) else value


def _patch_plan(account: Account, patch: pytest.MonkeyPatch) -> None:
    process = BotocoreStubber.process_request

    def process_request(stubber: Any, request: Any) -> Any:  # noqa: ANN401 - moto's
        if ".freetier." not in f".{request.url.partition('://')[2]}":
            return process(stubber, request)
        answer = {
            "accountId": ACCOUNT,
            "accountPlanType": account.plan,
            "accountPlanStatus": "ACTIVE",
        }
        _check_shape("freetier", "GetAccountPlanState", answer)
        return 200, {}, json.dumps(answer)

    patch.setattr(BotocoreStubber, "process_request", process_request)
