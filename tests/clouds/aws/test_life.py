"""The contract on the emulated EC2."""

from pathlib import Path

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import Cloud
from harness.life.life import Life, live
from immutable_servers.contract.values import Route
from immutable_servers.targets import load_target


def test_a_generation_lives_on_ec2(
    tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Auto Scaling groups behind a load balancer keep the contract that every target keeps."""
    project = AwsProject.create(tmp_path, cloud)
    for name, value in project.environment.items():
        if name.startswith(("AWS_", "XDG_")):
            monkeypatch.setenv(name, value)
    version = project.bake()["app"]
    found = load_target("aws", project.render_settings()["aws"]).images.find("app", version)
    assert found
    live(Life(project, found.id, 8000, Route("web", 8080)))
