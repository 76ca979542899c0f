"""One run end to end on Amazon EC2, with real machines behind the emulated API."""

from clouds.shared_tests.machines import Machines
from harness.aws.aws_project import AwsProject
from harness.aws.cloud import find_calls
from harness.aws.debian_ami import SETTINGS
from harness.checkout import Outcome


class TestMachines(Machines[AwsProject]):
    """Servers boot from the AMI that their launch template names."""

    upstream = SETTINGS

    def see_the_server(self, project: AwsProject, done: Outcome) -> str:
        """It runs the template's AMI."""
        (server,) = project.cloud.find_running()
        (template,) = find_calls(done.events, "ec2.CreateLaunchTemplate")
        assert server["ImageId"] == template["LaunchTemplateData.ImageId"]
        return str(server["PrivateIpAddress"])
