"""The emulated cloud as tests have it: started beside them, asked through the SDK, its journal."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3

from harness.checkout import ROOT

REGION = "eu-central-1"
ACCOUNT = "123456789012"
"""The account of every call that assumed no role."""


@dataclass
class Cloud:
    """One emulated cloud.

    Attributes:
        folder: Its journal and its faults.
        endpoint: Where its API answers.
        network: The first two numbers of its addresses.
        read: How much of the journal was read.
        key: Id of the access key, which says which account asks.
    """

    folder: Path
    endpoint: str
    network: str
    read: int = 0
    key: str = "AKIAEMULATED00000000"
    token: str = ""
    clients: dict[str, Any] = field(default_factory=dict)

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

    def read_new(self) -> list[dict[str, Any]]:
        """Return what was noted since the last look."""
        new = self.read_all()[self.read :]
        self.read += len(new)
        return new

    def read_all(self) -> list[dict[str, Any]]:
        """Return all that was noted."""
        journal = self.folder / "journal.jsonl"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [json.loads(line) for line in lines]

    def set_fault(self, call: str, code: str, **more: Any) -> None:  # noqa: ANN401 - see cloud_api
        """Have the next calls of a kind go wrong, such as `elbv2.ModifyListener`."""
        file = self.folder / "faults.json"
        faults = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**faults, call: {"code": code, **more}}))


@contextmanager
def start_cloud(folder: Path) -> Iterator[Cloud]:
    """Start an emulated cloud; it ends with the block, and with the process that runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-u", "-m", "clouds.aws.emulation.cloud_server", str(folder)]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            words,
            cwd=ROOT / "tests",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (folder / "server.log").read_text()
        yield Cloud(folder, **json.loads(line))
    finally:
        server.communicate(timeout=20)


def become(account: str, cloud: Cloud) -> Cloud:
    """Return the same cloud as a role in another account sees it."""
    role = f"arn:aws:iam::{account}:role/deploy"
    said = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    other = Cloud(cloud.folder, cloud.endpoint, cloud.network)
    return replace(other, key=said["AccessKeyId"], token=said["SessionToken"])


def find_calls(events: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the parameters of the calls of a kind that were answered."""
    return [e["parameters"] for e in events if e["event"] == "api" and e["call"] == name]


__all__ = ["ACCOUNT", "REGION", "Cloud", "become", "find_calls", "start_cloud"]
