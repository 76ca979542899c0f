"""How long a run's credentials last, and what is said when they have ended."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable_servers.errors import SetupError
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.clients import forget_clients

END = "2100-01-02T03:04:05Z"


@pytest.fixture(autouse=True)
def _has_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give the SDK credentials in variables, and a profile with others; nothing is asked."""
    config = tmp_path / "config"
    config.write_text("[profile prod]\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_CREDENTIAL_EXPIRATION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    forget_clients()
    yield
    forget_clients()


def make_target(profile: str = "") -> AwsTarget:
    """Return a target of this machine's credentials."""
    return AwsTarget({"region": "eu-central-1", "profile": profile})


def test_credentials_in_variables_say_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`aws configure export-credentials` and the workflows write it beside them."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", END)
    found = make_target().find_credentials_end()
    assert found == dt.datetime.fromisoformat(END).timestamp()


def test_without_it_nobody_knows_the_end() -> None:
    """Keys and tokens do not hold their end."""
    assert make_target().find_credentials_end() is None


def test_a_profile_s_credentials_are_not_those_of_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the settings name a profile, the SDK does not look at the variables."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", END)
    assert make_target("prod").find_credentials_end() is None


def test_credentials_that_ended_are_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK raises what is no error of its own for variables whose end is over."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2001-01-02T03:04:05Z")
    with pytest.raises(SetupError, match="The AWS credentials have expired") as error:
        make_target().api.find_account()
    assert "the role's session last longer" in error.value.todo
