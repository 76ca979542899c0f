"""A run that is asked to stop: each wait of the target ends, long before its deadline."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.client
import botocore.exceptions
import pytest

from immutable_servers.contract.values import Health, Login, Scope
from immutable_servers.errors import StoppedError
from immutable_servers.system import stopping
from immutable_servers.targets.aws import AwsTarget
from immutable_servers.targets.aws.api import Api
from immutable_servers.targets.aws.balancer import AwsBalancer
from immutable_servers.targets.aws.clients import forget_clients
from immutable_servers.targets.aws.fleets import AwsFleets
from immutable_servers.targets.aws.groups import Groups
from immutable_servers.targets.shared import ssh

SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
ANSWERS: Mapping[str, Any] = {
    "DescribeInstances": {"Reservations": [{"Instances": [{"State": {"Name": "shutting-down"}}]}]},
    "DescribeSecurityGroups": {"SecurityGroups": []},
    "TerminateInstances": {},
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


def make_target() -> AwsTarget:
    """Return a target that asks the region."""
    return AwsTarget({"region": "eu-central-1"})


def test_a_wait_for_a_state(asked: list[str]) -> None:
    """boto3's own waiters sleep for up to ten minutes; ours asks once."""
    api = make_target().api
    with pytest.raises(StoppedError, match="Waiting for the end of i-1 was ended"):
        api.end_instances(["i-1"])
    assert asked == ["TerminateInstances", "DescribeInstances"]


def test_a_wait_for_a_group(asked: list[str]) -> None:
    """What is made and not known everywhere is asked for once, too."""
    api = make_target().api
    with pytest.raises(StoppedError, match="Waiting for the group was ended"):
        api.wait("the group", api.find_security_groups)
    assert asked == ["DescribeSecurityGroups"]


def test_a_call_that_is_refused_for_a_while(asked: list[str]) -> None:
    """It is not made again."""
    with pytest.raises(StoppedError, match="Delete_security_group of ec2 was ended"):
        make_target().api.call("ec2", "delete_security_group", again=("DependencyViolation",))
    assert asked == ["DeleteSecurityGroup"]


def test_a_fleet_that_never_becomes_healthy(
    monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]
) -> None:
    """Its servers stay, and nothing is said of them."""
    said: list[str] = []

    def find_health(*_asked: object) -> list[Health]:
        stop_soon()
        return [Health("web-0", ok=False, detail="initial")]

    monkeypatch.setattr(AwsFleets, "find_health", find_health)
    with pytest.raises(StoppedError, match="Waiting for shop-dev-web-3f2a9c41 was ended"):
        make_target().fleets.wait_until_launched(SCOPE, 600, said.append)
    assert said == []


def test_a_fleet_that_is_never_gone(
    monkeypatch: pytest.MonkeyPatch, stop_soon: Callable[[], None]
) -> None:
    """The next run goes on with its deletion."""

    def find_group(*_asked: object) -> Mapping[str, Any]:
        stop_soon()
        return {"Instances": []}

    monkeypatch.setattr(AwsBalancer, "find_weights", lambda *_asked: {})
    monkeypatch.setattr(Groups, "find", find_group)
    monkeypatch.setattr(Api, "call", lambda *_asked, **_more: {})
    with pytest.raises(StoppedError, match="Waiting for the end of shop-dev-web-3f2a9c41"):
        make_target().fleets.delete(SCOPE)


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
        ssh.wait_until_logins([Login("web-0", "ssh://web-0", str(tmp_path / "config"))], 600, "")
