"""What an SDK finds of our credentials on its own, such as the one of Packer's plugin."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.compat import HAS_CRT

from harness.checkout import write_files
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.clients import forget_clients
from immutable_servers.targets.aws.packer_credentials import start_credentials
from immutable_servers.targets.aws.settings import AwsSettings

CONFIG = """
[profile team]
credential_process = printf '{"Version": 1, "AccessKeyId": "AKIATEAM", "SecretAccessKey": "s"}'
"""


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a profile, and beside it keys of somebody else in the environment."""
    folder = write_files(tmp_path, {"config": CONFIG})
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in (("ACCESS_KEY_ID", "AKIAOTHER"), ("SECRET_ACCESS_KEY", "o")):
        monkeypatch.setenv(f"AWS_{name}", value)
    forget_clients()
    yield
    forget_clients()


def make_api(profile: str = "") -> Api:
    """Return what asks AWS as a profile."""
    settings = {"region": "eu-central-1", "profile": profile}
    return Api(AwsSettings.model_validate(settings))


LOOK = """
from botocore.session import Session
found = Session().get_credentials()
print(found.method, found.get_frozen_credentials().access_key)
"""


@pytest.mark.parametrize(("profile", "key"), [("team", "AKIATEAM"), ("", "AKIAOTHER")])
def test_another_sdk_acts_as_we_do(profile: str, key: str) -> None:
    """As the profile of the settings, also beside keys in the environment, which holds none."""
    with start_credentials(make_api(profile)) as changed:
        environment = {**os.environ, **changed}
        found = subprocess.run(
            [sys.executable, "-c", LOOK],
            env={name: environment[name] for name in environment if changed.get(name) != ""},
            capture_output=True,
            text=True,
            check=True,
        )
    assert found.stdout.split() == ["container-role", key]
    assert "AKIA" not in " ".join(changed.values())


def ask(environment: Mapping[str, str], token: str) -> tuple[int, str]:
    """Return what the address of an environment answers to a token."""
    place = urlsplit(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    line = HTTPConnection(str(place.hostname), place.port, timeout=60)
    line.request("GET", place.path, headers={"Authorization": token})
    answer = line.getresponse()
    return answer.status, answer.read().decode()


def test_only_who_has_the_token_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others on the machine are refused; without credentials of ours the reason is answered."""
    with start_credentials(make_api("team")) as environment:
        assert ask(environment, "")[0] == HTTPStatus.FORBIDDEN
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    with start_credentials(make_api()) as environment:
        code, said = ask(environment, environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
        assert code == HTTPStatus.INTERNAL_SERVER_ERROR
        assert "There are no AWS credentials" in said


def test_credentials_that_have_ended_are_answered_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packer is told the reason, as of any other that are not there."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    with start_credentials(make_api()) as environment:
        code, said = ask(environment, environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
    assert code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "The AWS credentials have expired" in said


def test_a_login_of_aws_login_can_be_used() -> None:
    """The SDK signs with the CRT what such a login asks (`LoginProvider`): the lock holds it."""
    assert HAS_CRT
