"""Turns what botocore raises into our errors: what failed, what AWS said, what to do."""

import re

from botocore.exceptions import BotoCoreError, ClientError

from immutable_servers.errors import ImageError, ImmutableError, SettingsError, SetupError
from immutable_servers.targets.cloud.faults import Refusal, Row

__all__ = ["BotoCoreError", "ClientError", "explain"]

GUIDE = "docs/how-to/aws.md"
ROWS = (
    Row(
        # The classes are botocore's, for a login of `aws sso login` or `aws login`.
        r"ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired"
        r"|SSOError|TokenRetrievalError|LoginError",
        SetupError,
        "The AWS credentials have expired",
        "Log in again (`aws sso login`, or your own way), then run the same command.",
    ),
    Row(
        r"AuthFailure|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch"
        r"|InvalidAccessKeyId|IncompleteSignature",
        SetupError,
        "AWS does not accept the credentials",
        "See whose they are with `aws sts get-caller-identity`, and that the region is enabled for"
        " the account.",
    ),
    Row(
        r"OptInRequired|UnknownRegion|InvalidRegion|RegionDisabledException",
        SettingsError,
        "The region is not enabled for this AWS account",
        "Correct immutable-servers:aws region, or enable the region for the account.",
    ),
    Row(
        r".*Throttl.*|RequestLimitExceeded|TooManyRequestsException|SlowDown",
        None,
        "AWS still slows down {action} after all tries",
        "Run the same command again in some minutes; nothing was lost.",
    ),
    Row(
        r"InvalidAMIID\..*",
        ImageError,
        "An AMI that is needed does not exist any more",
        "For an image's start run `./immutable update`; an image of ours is baked again by"
        " `./immutable up` when a new generation needs it.",
    ),
    Row(
        r"InsufficientInstanceCapacity|InsufficientHostCapacity|Unsupported",
        None,
        "AWS has no room for such a server now",
        "Name more subnets or another size, or run the same command again later.",
    ),
    Row(
        r".*LimitExceeded.*|TooMany.*|.*QuotaExceeded.*|ResourceLimit.*",
        None,
        "A quota of the AWS account is used up: {action}",
        "Ask AWS for more under Service Quotas, or take away what is not needed.",
    ),
    Row(
        r"NoCredentialsError|PartialCredentialsError|CredentialRetrievalError|ProfileNotFound"
        r"|ConfigNotFound",
        SetupError,
        "There are no AWS credentials",
        "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is"
        f" given; see {GUIDE}.",
    ),
    Row(
        r"EndpointConnectionError",
        SettingsError,
        "AWS does not answer in the region {where}",
        "Correct immutable-servers:aws region, enable the region for the account, or see that this"
        " machine reaches AWS.",
    ),
    Row(
        r"HTTPClientError|ConnectionError",
        SetupError,
        "AWS could not be reached",
        "See that this machine reaches AWS, and run the same command again.",
    ),
    Row(
        r"BotoCoreError",
        SetupError,
        "The AWS SDK could not call {action}",
        f"Compare the stack's settings with {GUIDE}.",
    ),
    Row(
        r".*",
        None,
        "AWS refused {action}",
        "Correct what AWS names, then run the same command again.",
    ),
)
"""The first row that fits a code of AWS, or a class of botocore's, speaks for it."""
DENIED = re.compile(r"AccessDenied(Exception)?|UnauthorizedOperation|Forbidden")
IAM_NAMES = {"elbv2": "elasticloadbalancing"}
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
    if not isinstance(error, ClientError):
        names = [one.__name__ for one in type(error).__mro__]
        return Refusal(names, str(error), action, region).explain(ROWS, kind)
    answer = error.response.get("Error", {})
    code, message = answer.get("Code", ""), answer.get("Message", "")
    refusal = Refusal([code], f"{code}: {message}", action, region)
    if not DENIED.fullmatch(code):
        return refusal.explain(ROWS, kind)
    # AWS's message has both names, or the call was the action.
    named = re.search(r"perform: ([\w-]+:\w+)", message)
    on = re.search(r"on resource: (\S+)", message)
    return refusal.explain_denied(
        named[1] if named else action, on[1].rstrip(".") if on else "*", GUIDE
    )
