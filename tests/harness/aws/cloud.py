"""The emulated cloud as tests have it: started beside them, asked through the SDK, its journal."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import boto3

from clouds.aws.emulation.cloud_names import resolve_names
from clouds.shared.cloud_clock import NAME, VARIABLE
from harness.emulated_cloud import EmulatedCloud, Plugin, list_done
from immutable_servers.targets.aws.clients import forget_clients

REGION = "eu-central-1"
POLITE = {"follow": 0.0, "stale": 0.0, "throttled": 0.0, "page": 0, "late": 0.0, "no_room": {}}
"""Manners of a cloud that is quick, even and short of nothing, for tests of something else."""
ACCOUNT = "123456789012"
"""The account of every call that assumed no role."""


@dataclass
class Cloud(EmulatedCloud):
    """One emulated cloud.

    Attributes:
        key: Id of the access key, which says which account asks.
    """

    key: str = "AKIAEMULATED00000000"
    token: str = ""
    clients: dict[str, Any] = field(default_factory=dict)

    plugin: ClassVar[Plugin] = Plugin("aws", 7, "aws/emulation/in_process")
    forget_clients = staticmethod(forget_clients)
    server: ClassVar[str] = "clouds.aws.emulation.cloud_server"

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDK and the provider plugin to it: their own settings, nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_SESSION_TOKEN": self.token,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            VARIABLE: str(self.folder / NAME),
        }

    def client(self, service: str, region: str = REGION) -> Any:  # noqa: ANN401 - the SDK's client
        """Return the SDK's client of a service, as this account."""
        place = f"{service} {region}"
        if place not in self.clients:
            session = boto3.Session(self.key, "emulated", self.token or None, region_name=region)
            self.clients[place] = session.client(service, endpoint_url=self.endpoint)
        return self.clients[place]

    def find_running(self) -> list[dict[str, Any]]:
        """Return the instances that run."""
        wanted = [{"Name": "instance-state-name", "Values": ["running"]}]
        found = self.client("ec2").describe_instances(Filters=wanted)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def set_fault(self, call: str, code: str, **more: Any) -> None:  # noqa: ANN401 - see cloud_api
        """Have the next calls of a kind go wrong, such as `elbv2.ModifyListener`."""
        self.add_fault(call, {"code": code, **more})

    def slow_down(self, call: str) -> None:
        """Have the calls of a kind be refused for their number, from now on."""
        self.set_fault(call, "Throttling", times=10**6)

    def lose_answers(self, call: str) -> None:
        """Have the next call of a kind be carried out and not answered."""
        self.set_fault(call, "Lost", lost=True)

    def end_credentials(self) -> None:
        """Have every call be refused from now on, since credentials have ended."""
        self.set_fault("*", "ExpiredToken", times=10**6)


@contextmanager
def start_cloud(folder: Path) -> Iterator[Cloud]:
    """Start an emulated cloud; it ends with the block, and with the process that runs it."""
    resolve_names()
    with Cloud.start(folder) as cloud:
        yield cloud


def become(account: str, cloud: Cloud) -> Cloud:
    """Return the same cloud as a role in another account sees it."""
    role = f"arn:aws:iam::{account}:role/deploy"
    said = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    other = Cloud(cloud.folder, cloud.endpoint, cloud.network)
    return replace(other, key=said["AccessKeyId"], token=said["SessionToken"])


def find_calls(events: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the parameters of the calls of a kind that were answered, and not refused."""
    return [call["parameters"] for call in list_done(events) if call["call"] == name]


__all__ = ["ACCOUNT", "POLITE", "REGION", "Cloud", "become", "find_calls", "start_cloud"]
