"""Turns what botocore raises into our errors: what failed, what AWS said, what to do."""

import re
from collections.abc import Mapping
from pathlib import Path

from immutable_servers.errors import ImmutableError
from immutable_servers.targets.cloud.faults import Faults, Refusal

GUIDE = "docs/how-to/aws.md"
EXPIRED = "refreshed credentials are still expired"
"""In botocore's RuntimeError for credentials in variables that say their end, once it is over."""
FAULTS = Faults("AWS", "subnets", GUIDE, Path(__file__).with_suffix(".yaml"))
DENIED = re.compile(r"AccessDenied(Exception)?|UnauthorizedOperation|Forbidden")
TEMPLATE = re.compile(r"not authorized to use launch template: ([\w-]+)")
"""What Auto Scaling says to whoever may not launch what a template of a group names.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html"""
IAM_NAMES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""boto3's name of a service to the one in IAM's actions, where they differ."""


def explain(
    error: Exception, service: str, operation: str, region: str, kind: type[ImmutableError]
) -> ImmutableError:
    """Return our error for botocore's.

    Args:
        error: A ClientError or a BotoCoreError.
        service: boto3's name of the service.
        operation: boto3's name of the operation.
        region: Where it was called.
        kind: The branch when the error is about the operation itself.
    """
    camel = "".join(part.capitalize() for part in operation.split("_"))
    action = f"{IAM_NAMES.get(service, service)}:{camel}"
    response = getattr(error, "response", None)
    if not isinstance(response, Mapping):
        return FAULTS.explain(Refusal.of(error, action, region), kind)
    answer = response.get("Error", {})
    code, message = answer.get("Code", ""), answer.get("Message", "")
    refusal = Refusal([code], f"{code}: {message}", action, region)
    if not DENIED.fullmatch(code):
        return FAULTS.explain(refusal, kind)
    template = TEMPLATE.search(message)
    if template:
        what = f"what the launch template {template[1]} names"
        return FAULTS.explain_denied(refusal, "ec2:RunInstances", what)
    # AWS's message has both names, or the call was the action.
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    on = re.search(r"on resource: (\S+)", message)
    what = on[1].rstrip(".") if on else "*"
    return FAULTS.explain_denied(refusal, named[1] if named else action, what)
