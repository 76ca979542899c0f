"""Asks AWS through boto3: one place for clients, retries and what an answer means.

Endpoints, credentials and proxies are the SDK's own settings (`AWS_ENDPOINT_URL`, `AWS_PROFILE` and
so on), so whatever works with the `aws` command works here.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import tenacity

from immutable_servers.errors import ImmutableError, LaunchError, SetupError
from immutable_servers.targets.aws.settings import AwsSettings

CONNECT_SECONDS = 10
READ_SECONDS = 60
AGAIN_SECONDS = 300.0
"""How long a call is made again whose refusal passes by itself."""
AGAIN_PAUSE = 5.0


class Api:
    """AWS in one region, as one profile."""

    def __init__(self, settings: AwsSettings, region: str = "") -> None:
        self.region = region or settings.region
        self.settings = settings

    def elsewhere(self, region: str) -> "Api":
        """Return the same in another region."""
        return Api(self.settings, region)

    def call(
        self,
        service: str,
        operation: str,
        *,
        missing: Sequence[str] = (),
        again: Sequence[str] = (),
        kind: type[ImmutableError] = LaunchError,
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> Mapping[str, Any]:
        """Call an operation; a throttled one is tried again with growing pauses.

        Args:
            service: boto3's name of the service, such as `elbv2`.
            operation: boto3's name of the operation, such as `describe_rules`.
            missing: Error codes that are an answer: an empty one.
            again: Error codes that pass: something that is on its way out still uses a thing.
            kind: The branch of an error that is about the operation itself.
            arguments: The operation's own.

        Raises:
            ImmutableError: With what failed, what AWS said, and what to do.
        """
        import botocore.exceptions  # noqa: PLC0415 - only when AWS is asked

        from immutable_servers.targets.aws.faults import explain  # noqa: PLC0415 - the same

        try:
            client = _find_client(
                service, self.region, self.settings.profile, self.settings.attempts
            )
            answer: Mapping[str, Any] = _try_again(again)(getattr(client, operation), **arguments)
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in missing:
                return {}
            raise explain(error, service, operation, self.region, kind) from error
        except botocore.exceptions.BotoCoreError as error:
            raise explain(error, service, operation, self.region, kind) from error
        return answer

    def list(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        missing: Sequence[str] = (),
        kind: type[ImmutableError] = LaunchError,
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> list[Any]:
        """Call an operation until its last page, and return what is under `key` in all of them."""
        found: list[Any] = []
        while True:
            answer = self.call(service, operation, missing=missing, kind=kind, **arguments)
            found += answer.get(key, [])
            name = next((one for one in PAGES if answer.get(one)), "")
            if not name:
                return found
            arguments[PAGES[name]] = answer[name]

    def wait(
        self,
        service: str,
        waiter: str,
        *,
        kind: type[ImmutableError] = LaunchError,
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> None:
        """Wait for what boto3 calls a waiter, as long as it has patience.

        Raises:
            ImmutableError: It did not come in time, or AWS refused to say.
        """
        import botocore.exceptions  # noqa: PLC0415 - only when AWS is asked

        from immutable_servers.targets.aws.faults import explain  # noqa: PLC0415 - the same

        settings = self.settings
        try:
            client = _find_client(service, self.region, settings.profile, settings.attempts)
            client.get_waiter(waiter).wait(**arguments)
        except botocore.exceptions.WaiterError as error:
            if "Error" in error.last_response:
                refused = botocore.exceptions.ClientError(error.last_response, waiter)
                raise explain(refused, service, WAITERS[waiter], self.region, kind) from error
            raise kind(
                f"AWS did not come to `{waiter}` in time",
                facts=[str(error)],
                todo="Run the same command again.",
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise explain(error, service, WAITERS[waiter], self.region, kind) from error


PAGES: Mapping[str, str] = {"NextToken": "NextToken", "NextMarker": "Marker"}
"""Where an answer says that there is more, and the argument that asks for it."""
WAITERS: Mapping[str, str] = {
    "instance_running": "describe_instances",
    "instance_terminated": "describe_instances",
    "security_group_exists": "describe_security_groups",
}
"""The operation that each waiter asks with."""


def _try_again(codes: Sequence[str]) -> tenacity.Retrying:
    """Return what makes a call again as long as it is refused with one of `codes`."""

    def passes(error: BaseException) -> bool:
        answer: Mapping[str, Any] = getattr(error, "response", {})
        return answer.get("Error", {}).get("Code") in codes

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(passes),
        wait=tenacity.wait_fixed(AGAIN_PAUSE),
        stop=tenacity.stop_after_delay(AGAIN_SECONDS),
        reraise=True,
    )


@lru_cache(maxsize=64)
def _find_client(service: str, region: str, profile: str, attempts: int) -> Any:  # noqa: ANN401 - boto3's
    session = _find_session(profile)
    from botocore.config import Config  # noqa: PLC0415 - only when AWS is asked

    retries = {"mode": "adaptive", "total_max_attempts": attempts}
    return session.client(
        service,
        region_name=region,
        config=Config(
            retries=retries,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            user_agent_extra="immutable-servers",
        ),
    )


@lru_cache(maxsize=8)
def _find_session(profile: str) -> Any:  # noqa: ANN401 - made by boto3
    try:
        import boto3  # noqa: PLC0415 - stacks on other targets do without
    except ImportError as error:
        raise SetupError(
            "The Python packages for stacks on aws are missing",
            facts=[str(error)],
            todo="Run `./immutable up` on such a stack: it installs requirements-aws.lock.",
        ) from error
    return boto3.Session(profile_name=profile or None)


def forget_clients() -> None:
    """Make clients and sessions anew when they are needed next: credentials have changed."""
    _find_client.cache_clear()
    _find_session.cache_clear()
