"""A run that is told to stop: each wait of the target ends, long before its deadline."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.client
import botocore.exceptions
import pytest

from immutable_servers.contract.values import Health, Launch, Login, Scope
from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping
from immutable_servers.targets.aws import balancer, fleets, retirement, servers, ssh
from immutable_servers.targets.aws.api import Api, forget_clients
from immutable_servers.targets.aws.settings import AwsSettings

SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
ANSWERS: Mapping[str, Any] = {
    "DescribeInstances": {"Reservations": [{"Instances": [{"State": {"Name": "shutting-down"}}]}]},
    "DescribeSecurityGroups": {"SecurityGroups": []},
}
"""What AWS answers for ever."""


@pytest.fixture
def stop_soon() -> Iterator[Callable[[], None]]:
    """Yield what stops this process a moment after its first call; forget it at the end."""
    timer = threading.Timer(0.1, stopping.stop)

    def start() -> None:
        if timer.ident is None:
            timer.start()

    yield start
    timer.join()
    stopping.STOP.clear()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]) -> Iterator[list[str]]:
    """Have AWS refuse or answer the same for ever, and stop the run a moment after it is asked."""
    forget_clients()
    calls: list[str] = []

    def answer(_client: object, operation: str, _arguments: object) -> object:
        calls.append(operation)
        stop_soon()
        if operation in ANSWERS:
            return ANSWERS[operation]
        error = {"Code": "DependencyViolation", "Message": "not now"}
        raise botocore.exceptions.ClientError({"Error": error}, operation)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)
    yield calls
    forget_clients()


def make_api() -> Api:
    """Return what asks the region."""
    return Api(AwsSettings(region="eu-central-1"))


@pytest.mark.parametrize("waiter", ["instance_terminated", "security_group_exists"])
def test_a_wait_for_a_state(asked: list[str], waiter: str) -> None:
    """boto3's own waiters sleep for up to ten minutes; ours is asked once."""
    with pytest.raises(StoppedError, match=f"Waiting for {waiter} of ec2 was ended"):
        make_api().wait("ec2", waiter)
    assert len(asked) == 1


def test_a_call_that_is_refused_for_a_while(asked: list[str]) -> None:
    """It is not made again."""
    with pytest.raises(StoppedError, match="Delete_security_group of ec2 was ended"):
        make_api().call("ec2", "delete_security_group", again=("DependencyViolation",))
    assert asked == ["DeleteSecurityGroup"]


def test_a_fleet_that_never_becomes_healthy(
    monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]
) -> None:
    """Its servers stay, and nothing is said of them."""
    said: list[str] = []

    def find_health(*_asked: object) -> list[Health]:
        stop_soon()
        return [Health("web-0", ok=False, detail="initial")]

    monkeypatch.setattr(servers, "find_health", find_health)
    with pytest.raises(StoppedError, match="Waiting for shop-dev-web-3f2a9c41 was ended"):
        servers.wait_until_launched(make_api(), SCOPE, Launch("small", 80, "/"), said.append)
    assert said == []


def test_a_fleet_that_is_never_gone(
    monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]
) -> None:
    """The next run goes on with its deletion."""

    def find_group(*_asked: object) -> Mapping[str, Any]:
        stop_soon()
        return {"Instances": []}

    monkeypatch.setattr(balancer, "find_traffic", lambda *_asked: {})
    monkeypatch.setattr(fleets, "find_group", find_group)
    monkeypatch.setattr(Api, "call", lambda *_asked, **_more: {})
    with pytest.raises(StoppedError, match="Waiting for the end of shop-dev-web-3f2a9c41"):
        retirement.delete_fleet(make_api(), SCOPE)


@pytest.mark.parametrize("script", ["exit 255", "sleep 600"], ids=["refused", "hanging"])
def test_a_login_that_never_works(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]
) -> None:
    """Whether ssh is refused or hangs, with what it has started itself."""
    tool = tmp_path / "ssh"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    stop_soon()
    with pytest.raises(StoppedError, match="web-0 was ended"):
        ssh.wait_until_logins([Login("web-0", "ssh://web-0", str(tmp_path / "config"))], 600)
