"""Asks IAM what the policies of our files allow to the caller, without doing any of it.

`SimulatePrincipalPolicy` takes single actions, ARNs without wildcards, and what conditions look at
as context: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from immutable_servers.errors import ImmutableError
from immutable_servers.targets.aws.faults import IAM_NAMES
from immutable_servers.targets.aws.readiness.asked import Asked
from immutable_servers.targets.cloud.faults import find_denied

MOST = 50
"""Actions of one call, so that its answer is one page."""
ANY = "x"
"""Stands for any value of a tag or of a part of an ARN."""
USER = "${aws:userid}"
Context = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Request:
    """Actions on one resource in one context."""

    actions: Sequence[str]
    resource: str
    context: Context


def find_missing(asked: Asked, request: Request) -> Sequence[str] | None:
    """Return the actions that the caller may not do; None when IAM does not know the caller.

    Raises:
        SetupError: The caller may not ask.
    """
    entries = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [*values],
            "ContextKeyType": "string" if len(values) == 1 else "stringList",
        }
        for key, values in request.context.items()
    ]
    missing: list[str] = []
    for at in range(0, len(request.actions), MOST):
        answer = asked.api.call(
            "iam",
            "simulate_principal_policy",
            missing=("NoSuchEntity",),
            PolicySourceArn=asked.principal,
            ActionNames=request.actions[at : at + MOST],
            ResourceArns=[request.resource],
            ContextEntries=entries,
        )
        if not answer:
            return None
        found = answer["EvaluationResults"]
        missing += [one["EvalActionName"] for one in found if one["EvalDecision"] != "allowed"]
    return missing


def find_missing_if_allowed(asked: Asked, request: Request) -> Sequence[str] | None:
    """Return what `find_missing` does; None also when the caller may not ask."""
    try:
        return find_missing(asked, request)
    except ImmutableError as error:
        if not find_denied(error):
            raise
        return None


def list_requests(
    statements: Sequence[Mapping[str, Any]], region: str, account: str, user: str
) -> Iterator[Request]:
    """Yield what has to be allowed for a file's statements, one for each value of a condition."""
    for statement in statements:
        if statement["Effect"] != "Allow":
            continue
        actions = [action for one in _list(statement["Action"]) for action in expand(one)]
        contexts = [*_list_contexts(statement.get("Condition", {}), user)]
        for resource, context in product(_list(statement["Resource"]), contexts):
            yield Request(actions, make_example(resource, region, account), context)


def expand(action: str) -> Sequence[str]:
    """Return an action; for one with a wildcard the shortest operation that fits it.

    IAM takes no wildcard, and a name that it does not know makes it refuse the whole call.
    """
    service, _, name = action.partition(":")
    if not name.endswith("*"):
        return [action]
    fitting = [one for one in _list_operations(service) if one.startswith(name[:-1])]
    return [f"{service}:{min(fitting, key=lambda one: (len(one), one))}"] if fitting else []


def make_example(resource: str, region: str, account: str) -> str:
    """Return an ARN that a pattern of our files fits; `*` alone stays, as IAM takes it."""
    if not resource.startswith("arn:"):
        return resource
    _, partition, service, at, owner, rest = resource.split(":", 5)
    at, owner = at.replace("*", region), owner.replace("*", account)
    partition = partition.replace("*", "aws")
    return ":".join(["arn", partition, service, at, owner, rest.replace("*", ANY)])


def _list_contexts(conditions: Mapping[str, Mapping[str, Any]], user: str) -> Iterator[Context]:
    """Yield contexts in which the conditions hold: together all of their values."""
    choices: list[list[tuple[str, Sequence[str]]]] = []
    for operator, keys in conditions.items():
        for key, value in keys.items():
            values = [one.replace(USER, user).replace("*", ANY) for one in _list(value)]
            if operator.startswith("For"):  # a set is compared as a whole
                choices.append([(key, values)])
            elif operator.startswith("Null"):
                choices.append([(key, [ANY])] if values == ["false"] else [])
            elif "Not" in operator:
                choices.append([(key, [ANY])])
            else:
                choices.append([(key, [one]) for one in values])
            if any(USER in one for one in _list(value)):
                choices.append([("aws:userid", [user])])
    for chosen in product(*filter(None, choices)):
        yield dict(chosen)


@cache
def _list_operations(service: str) -> Sequence[str]:
    """Return the operations of a service as the SDK knows them."""
    import botocore.session  # noqa: PLC0415 - stacks on other targets do without

    names = {iam: boto for boto, iam in IAM_NAMES.items()}
    model = botocore.session.get_session().get_service_model(names.get(service, service))
    return list(model.operation_names)


def _list(value: Any) -> Sequence[str]:  # noqa: ANN401 - JSON has one or several
    return [str(value)] if isinstance(value, str | bool) else [str(one) for one in value]
