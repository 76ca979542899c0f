"""Makes boto3's sessions and clients, each once."""

from functools import lru_cache
from typing import Any

from immutable_servers.targets.cloud.faults import make_without_sdk

CONNECT_SECONDS = 10
READ_SECONDS = 60


@lru_cache(maxsize=64)
def find_client(service: str, region: str, profile: str, attempts: int) -> Any:  # noqa: ANN401 - boto3's
    """Return boto3's client of a service, with our retries."""
    session = find_session(profile)
    from botocore.config import Config  # noqa: PLC0415 - only when AWS is asked

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        user_agent_extra="immutable-servers",
    )
    return session.client(service, region_name=region, config=config)


@lru_cache(maxsize=8)
def find_session(profile: str) -> Any:  # noqa: ANN401 - made by boto3
    """Return boto3's session of a profile; empty is the SDK's choice.

    Raises:
        SetupError: boto3 is not here.
    """
    try:
        import boto3  # noqa: PLC0415 - stacks on other targets do without
    except ImportError as error:
        raise make_without_sdk("aws", error) from error
    return boto3.Session(profile_name=profile or None)


def forget_clients() -> None:
    """Make clients and sessions anew when they are needed next: credentials have changed."""
    find_client.cache_clear()
    find_session.cache_clear()
