"""Asks AWS through boto3: one place for clients, retries and what an answer means.

Endpoints, credentials and proxies are the SDK's own settings (`AWS_ENDPOINT_URL`, `AWS_PROFILE` and
so on), so whatever works with the `aws` command works here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import not_
from typing import Any

from immutable_servers.errors import ImmutableError, LaunchError, SetupError
from immutable_servers.system.waiting import wait_until
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
            refused, answer = wait_until(
                f"{operation} of {service}",
                AGAIN_SECONDS,
                lambda: _ask(getattr(client, operation), arguments, again),
                done=lambda found: found[0] is None,
                every=AGAIN_PAUSE,
            )
            if refused:
                raise refused
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

        The waiter looks once at a time: its own pauses do not hear of a stop.

        Raises:
            ImmutableError: It did not come in time, or AWS refused to say.
            StoppedError: This process was told to stop.
        """
        import botocore.exceptions  # noqa: PLC0415 - only when AWS is asked

        from immutable_servers.targets.aws.faults import explain  # noqa: PLC0415 - the same

        settings = self.settings
        try:
            client = _find_client(service, self.region, settings.profile, settings.attempts)
            patient = client.get_waiter(waiter)
            late = wait_until(
                f"waiting for {waiter} of {service}",
                patient.config.delay * patient.config.max_attempts,
                lambda: _look_once(patient, arguments),
                done=not_,
                every=patient.config.delay,
            )
            if late:
                raise late
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


def _ask(
    operation: Callable[..., Mapping[str, Any]], arguments: Mapping[str, Any], again: Sequence[str]
) -> tuple[Exception | None, Mapping[str, Any]]:
    """Return a refusal that passes (its code is one of `again`), or the answer."""
    import botocore.exceptions  # noqa: PLC0415 - only when AWS is asked

    try:
        return None, operation(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") not in again:
            raise
        return error, {}


def _look_once(waiter: Any, arguments: Mapping[str, Any]) -> Exception | None:  # noqa: ANN401 - boto3's
    """Return how boto3 says that it is not there yet; None when it is."""
    import botocore.exceptions  # noqa: PLC0415 - only when AWS is asked

    try:
        waiter.wait(**arguments, WaiterConfig={"MaxAttempts": 1})
    except botocore.exceptions.WaiterError as error:
        if not error.kwargs["reason"].startswith("Max attempts exceeded"):
            raise
        late: Exception = error
        return late
    return None


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
