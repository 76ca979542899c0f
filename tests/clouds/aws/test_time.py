"""What time does to a run on Amazon EC2: bakes that take twenty minutes, by the cloud's clock."""

from pathlib import Path

import pytest

from harness.aws.aws_project import AwsProject
from harness.aws.cloud import Cloud
from harness.checkout import ROOT
from harness.packer_plugins import needs_plugin
from immutable_servers.contract.access import LOGIN_WINDOW
from immutable_servers.targets.aws.needs import PLUGIN

BAKE = 20 * 60


@pytest.mark.sample
def test_a_first_run_outlasts_long_bakes(tmp_path: Path, cloud: Cloud) -> None:
    """Two bakes take longer than a login window; the servers are checked all the same."""
    needs_plugin(PLUGIN)
    assert 2 * BAKE > LOGIN_WINDOW
    cloud.set_manners(bake=BAKE)
    project = AwsProject.create(tmp_path, cloud, packer=ROOT / "packer")
    project.prepare_bakes()
    done = project.up()
    assert done.code == 0, done.text
    order = [event["event"] for event in done.events if event["event"] in ("seal", "traffic")]
    assert order == ["seal", "seal", "traffic"]
    project.assert_serving()
