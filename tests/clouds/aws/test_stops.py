"""A Ctrl-C while a run waits for Amazon: it ends the wait, and the next run goes on from there."""

from clouds.shared_tests.stops import Stops, stop
from harness.aws.aws_project import AwsProject


class TestStops(Stops[AwsProject]):
    """A public way to servers waits for their host keys."""

    moved = ("elbv2.ModifyListener", "elbv2.DescribeListeners")

    def stop_its_own_waits(self, project: AwsProject) -> None:
        """Consoles that show no host key are looked at no longer."""
        project.own |= {"verify_through": "public", "verify_from": ["127.0.0.1/32"]}
        project.write_settings()
        assert "it is not verified" in stop(project, "ec2.GetConsoleOutput")
        project.own |= {"verify_through": "ssh_config", "verify_from": []}
        project.write_settings()
