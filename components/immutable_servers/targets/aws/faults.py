"""Turns what botocore raises into our errors: what failed, what AWS said, what to do."""

import re
from dataclasses import dataclass

from botocore import exceptions

from immutable_servers.errors import ImageError, ImmutableError, SettingsError, SetupError

GUIDE = "docs/how-to/aws.md"
EXPIRED = "The AWS credentials have expired"
LOG_IN = "Log in again (`aws sso login`, or your own way), then run the same command."


@dataclass(frozen=True)
class _Said:
    """What a refused call was about.

    Attributes:
        action: As IAM names it, such as `ec2:DescribeImages`.
    """

    code: str
    message: str
    action: str
    region: str

    @property
    def facts(self) -> list[str]:
        return [f"{self.action} in {self.region}: {self.code}: {self.message}"]


@dataclass(frozen=True)
class _Row:
    """What error codes mean; without a branch the error is about the operation itself."""

    codes: str
    branch: type[ImmutableError] | None
    what: str
    todo: str


ROWS = (
    _Row(
        r"ExpiredToken(Exception)?|RequestExpired|TokenRefreshRequired",
        SetupError,
        EXPIRED,
        LOG_IN,
    ),
    _Row(
        r"AuthFailure|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch"
        r"|InvalidAccessKeyId|IncompleteSignature",
        SetupError,
        "AWS does not accept the credentials",
        "See whose they are with `aws sts get-caller-identity`, and that the region is enabled for"
        " the account.",
    ),
    _Row(
        r"OptInRequired|UnknownRegion|InvalidRegion|RegionDisabledException",
        SettingsError,
        "The region is not enabled for this AWS account",
        "Correct immutable-servers:aws region, or enable the region for the account.",
    ),
    _Row(
        r".*Throttl.*|RequestLimitExceeded|TooManyRequestsException|SlowDown",
        None,
        "AWS still slows down {action} after all tries",
        "Run the same command again in some minutes; nothing was lost.",
    ),
    _Row(
        r"InvalidAMIID\..*",
        ImageError,
        "An AMI that is needed does not exist any more",
        "For an image's start run `./immutable update`; an image of ours is baked again by"
        " `./immutable up` when a new generation needs it.",
    ),
    _Row(
        r"InsufficientInstanceCapacity|InsufficientHostCapacity|Unsupported",
        None,
        "AWS has no room for such a server now",
        "Name more subnets or another size, or run the same command again later.",
    ),
    _Row(
        r".*LimitExceeded.*|TooMany.*|.*QuotaExceeded.*|ResourceLimit.*",
        None,
        "A quota of the AWS account is used up: {action}",
        "Ask AWS for more under Service Quotas, or take away what is not needed.",
    ),
    _Row(
        r".*",
        None,
        "AWS refused {action}",
        "Correct what AWS names, then run the same command again.",
    ),
)
"""The first row whose expression fits a code speaks for it."""
DENIED = re.compile(r"AccessDenied(Exception)?|UnauthorizedOperation|Forbidden")
NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.ConfigNotFound,
)
LOGGED_OUT = (exceptions.SSOError, exceptions.TokenRetrievalError, exceptions.LoginError)
"""What botocore says when a login of `aws sso login` or `aws login` is over or was never made."""
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
    action = f"{IAM_NAMES.get(service, service)}:{_camel(operation)}"
    if isinstance(error, exceptions.ClientError):
        told = error.response.get("Error", {})
        said = _Said(told.get("Code", ""), told.get("Message", ""), action, region)
        return _explain_code(said, kind)
    return _explain_client(error, action, region)


def _explain_code(said: _Said, kind: type[ImmutableError]) -> ImmutableError:
    if DENIED.fullmatch(said.code):
        return _explain_denied(said)
    row = next(row for row in ROWS if re.fullmatch(row.codes, said.code))
    what = row.what.format(action=said.action)
    return (row.branch or kind)(what, facts=said.facts, todo=row.todo)


def _explain_denied(said: _Said) -> SetupError:
    """Name the action and the resource: AWS's message has both, or the call was the action."""
    action = re.search(r"perform: ([\w-]+:\w+)", said.message)
    resource = re.search(r"on resource: (\S+)", said.message)
    wanted = action[1] if action else said.action
    on = resource[1].rstrip(".") if resource else "*"
    return SetupError(
        f"A permission is missing: {wanted}",
        facts=[f"on {on}", *said.facts],
        todo=f"Allow it in the policy of who runs this; {GUIDE} lists what each command needs.",
    )


def _explain_client(error: Exception, action: str, region: str) -> ImmutableError:
    facts = [f"{action} in {region}: {error}"]
    if isinstance(error, LOGGED_OUT):
        return SetupError(EXPIRED, facts=facts, todo=LOG_IN)
    if isinstance(error, NO_CREDENTIALS):
        return SetupError(
            "There are no AWS credentials",
            facts=facts,
            todo="Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a"
            f" role is given; see {GUIDE}.",
        )
    if isinstance(error, exceptions.EndpointConnectionError):
        return _explain_region(facts, region)
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return SetupError(
            "AWS could not be reached",
            facts=facts,
            todo="See that this machine reaches AWS, and run the same command again.",
        )
    return SetupError(
        f"The AWS SDK could not call {action}",
        facts=facts,
        todo=f"Compare the stack's settings with {GUIDE}.",
    )


def _explain_region(facts: list[str], region: str) -> SettingsError:
    return SettingsError(
        f"AWS does not answer in the region {region}",
        facts=facts,
        todo="Correct immutable-servers:aws region, enable the region for the account, or see that"
        " this machine reaches AWS.",
    )


def _camel(operation: str) -> str:
    return "".join(part.capitalize() for part in operation.split("_"))
