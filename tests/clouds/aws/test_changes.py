"""The table of changes on Amazon EC2: a listener's pointer, and accounts."""

import datetime as dt

import pytest

from clouds.shared_tests.changes import Changes, refuse_here
from harness.aws.aws_project import AwsProject
from harness.aws.cloud import ACCOUNT, REGION, become, find_calls
from harness.checkout import Outcome

OTHER_ACCOUNT = "222222222222"


class TestChanges(Changes[AwsProject]):
    """Targets are taken from a fleet before it ends, and who has credentials knows their end."""

    draining = ("elbv2.DeregisterTargets",)
    expired = "The AWS credentials have expired"
    asks_again = False

    def see_the_launch(self, project: AwsProject, done: Outcome) -> None:
        """Launch templates want tokens for metadata, and encrypt the disk."""
        (template,) = find_calls(done.events, "ec2.CreateLaunchTemplate")
        assert template["LaunchTemplateData.MetadataOptions.HttpTokens"] == "required"
        assert template["LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted"] == "true"

    def name_another_place(self, project: AwsProject) -> None:
        """Another region, and another account, are refused."""
        here = f"There: {describe_place(ACCOUNT, REGION)}, with servers of web"
        home = project.cloud
        project.own = {"region": "eu-west-1"}
        project.write_settings()
        refuse_here(project, here, f"Here: {describe_place(ACCOUNT, 'eu-west-1')}")
        project.own = {}
        project.write_settings()
        project.cloud = become(OTHER_ACCOUNT, home)
        project.cloud.read_new()
        refuse_here(project, here, f"Here: {describe_place(OTHER_ACCOUNT, REGION)}")
        project.cloud = home

    def have_credentials_that_end_soon(self, project: AwsProject) -> None:
        """They end before the canary's watch does."""
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_CREDENTIAL_EXPIRATION", soon.isoformat())
            refused = project.run()
        said = "SetupError: The credentials of this run end before"
        refused.assert_failed(said, "canary.watch 1h")
        assert project.count_changes(refused) == []


def describe_place(account: str, region: str) -> str:
    """Return how an error names where a stack of this test is."""
    return f"aws (account {account}, project immutable-servers, region {region}, stack dev)"
