"""Asks AWS through boto3: one place for clients, retries and what an answer means.

Endpoints, credentials and proxies are the SDK's own settings (`AWS_ENDPOINT_URL`, `AWS_PROFILE` and
so on), so whatever works with the `aws` command works here.
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ClassVar, TypeVar

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImmutableError, LaunchError, SettingsError, SetupError
from immutable_servers.system.waiting import run_until_stopped
from immutable_servers.targets.aws.clients import find_client, find_session
from immutable_servers.targets.aws.faults import EXPIRED, explain
from immutable_servers.targets.aws.names import read_words, where
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.cloud.calls import CloudApi, ask_again

END = "AWS_CREDENTIAL_EXPIRATION"
"""Variable with the end of the credentials in the variables beside it, as `aws configure
export-credentials --format env` writes them."""
ALIVE = where("instance-state-name", "pending", "running", "stopping", "stopped")
"""Filter of instances that are not gone."""
NO_TEMPLATE = ("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException")
"""EC2's codes for a launch template that has gone."""
AT_ONCE = 16
"""Regions that are asked at the same time."""

T = TypeVar("T")


class Api(CloudApi[AwsSettings]):
    """AWS in one region, as one profile."""

    cloud = "AWS"
    reads = ("describe_", "get_", "list_")
    pages: ClassVar[Mapping[str, str]] = {
        "NextToken": "NextToken",
        "NextMarker": "Marker",
        "nextToken": "nextToken",
    }

    def __init__(self, settings: AwsSettings, kind: type[ImmutableError] = LaunchError) -> None:
        super().__init__(settings, kind)
        self.region = settings.region

    def elsewhere(self, region: str) -> "Api":
        """Return the same in another region."""
        return self._copy(region=region)

    def call(
        self,
        service: str,
        operation: str,
        *,
        missing: Sequence[str] = (),
        again: Sequence[str] = (),
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> Mapping[str, Any]:
        """Call an operation; a throttled one is tried again with growing pauses.

        Args:
            service: boto3's name of the service, such as `elbv2`.
            operation: boto3's name of the operation, such as `describe_rules`.
            missing: Refusals that are an answer: an empty one. Each is an error code, or with what
                its message holds, `code: words`.
            again: Error codes that pass: something that is on its way out still uses a thing.
            arguments: The operation's own.

        Raises:
            ImmutableError: With what failed, what AWS said, and what to do.
            StoppedError: This process was asked to stop. A change that was under way may yet be
                made: it is as one whose answer was lost.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only for AWS

        settings = self.settings
        self.asked.note(operation)
        what = f"{operation} of {service}"
        try:
            client = find_client(service, self.region, settings.profile, settings.attempts)
            work = partial(getattr(client, operation), **arguments)
            return ask_again(
                what,
                partial(run_until_stopped, what, work),
                ClientError,
                lambda error, refusals: _is_one_of(error.response, refusals),
                missing,
                again,
            )
        except (ClientError, BotoCoreError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and EXPIRED not in str(error):
                raise
            raise explain(error, service, operation, self.region, self.kind) from error

    def list(
        self,
        service: str,
        operation: str,
        *,
        key: str = "",
        missing: Sequence[str] = (),
        **arguments: Any,  # noqa: ANN401 - the operation's own
    ) -> list[Any]:
        """Call an operation until its last page, and return what all pages list.

        An answer has its list under `key`, by default such as `Rules` for `describe_rules`.
        """
        key = key or "".join(part.capitalize() for part in operation.split("_")[1:])
        ask = partial(self.call, service, operation, missing=missing, **arguments)
        question = (self.region, service, operation, repr(sorted(arguments.items())))
        return self.find_pages(ask, lambda answer: answer.get(key, []), *question)

    def find_instances(self, *filters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return what EC2 says of the instances that fit, also of those that have just ended."""
        found = self.list("ec2", "describe_instances", key="Reservations", Filters=filters)
        return [instance for reservation in found for instance in reservation["Instances"]]

    def find_amis(
        self, *filters: Mapping[str, Any], owners: Sequence[str] = ("self",)
    ) -> Sequence[Mapping[str, Any]]:
        """Return what EC2 says of the AMIs that fit."""
        return self.list("ec2", "describe_images", Owners=owners, Filters=filters)

    def ask_everywhere(self, look: Callable[["Api"], T], say: Say) -> Sequence[tuple["Api", T]]:
        """Ask in every region that is enabled for the account, side by side.

        EC2 lists regions that an organisation denies, too. Such a region counts as not there; the
        stack's own does not.
        """

        def ask(there: "Api") -> tuple["Api", T] | None:
            try:
                return there, look(there)
            except (SettingsError, SetupError) as error:
                if there.region == self.region:
                    raise
                say(f"{there.region} is left out: {error.what}")
                return None

        apis = [self.elsewhere(region) for region in self.find_regions()]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [found for found in pool.map(ask, apis) if found]

    def find_account(self) -> str:
        """Return the number of the account that our credentials are of."""
        return str(self.call("sts", "get_caller_identity")["Account"])

    def find_credentials(self) -> Any:  # noqa: ANN401 - botocore's
        """Return the SDK's own credentials in use, or None."""
        return find_session(self.settings.profile).get_credentials()

    def find_credentials_end(self) -> float | None:
        """Return when credentials in variables end, in seconds since the epoch, where one says it.

        A profile's, a role's and an instance's are renewed by the SDK. Its own note of an end is
        private: https://github.com/boto/botocore/issues/2694.
        """
        credentials = self.find_credentials()
        end = os.environ.get(END, "")
        if credentials is None or credentials.method != "env" or not end:
            return None
        return dt.datetime.fromisoformat(end).timestamp()

    def find_regions(self) -> Sequence[str]:
        """Return the regions that are enabled for the account."""
        return sorted(one["RegionName"] for one in self.list("ec2", "describe_regions"))

    def find_security_groups(self, *filters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the security groups that fit."""
        return self.list("ec2", "describe_security_groups", Filters=filters)

    def find_security_rules(self, *filters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the rules of security groups that fit; EC2 finds them by their tags' values."""
        return self.list("ec2", "describe_security_group_rules", Filters=filters)

    def wait_until_started(self, instance: str) -> Mapping[str, Any]:
        """Wait until an instance runs; return what EC2 says of it then.

        Raises:
            ImmutableError: It ended instead.
        """
        states = where("instance-state-name", "running", "shutting-down", "terminated")
        which = (where("instance-id", instance), states)
        found, *_ = self.wait(f"the start of {instance}", lambda: self.find_instances(*which))
        if found["State"]["Name"] != "running":
            raise self.kind(
                f"The instance {instance} ended at its start",
                facts=[found.get("StateReason", {}).get("Message", found["State"]["Name"])],
                todo="Correct what AWS names, then run the same command again.",
            )
        return found

    def end_instances(self, instances: Sequence[str]) -> None:
        """Terminate instances, and wait until they are gone; they hold their security groups."""
        if not instances:
            return
        self.call("ec2", "terminate_instances", InstanceIds=instances)
        there = where("instance-state-name", *ALIVE["Values"], "shutting-down")
        which = (where("instance-id", *instances), there)
        self.wait(f"the end of {', '.join(instances)}", lambda: not self.find_instances(*which))

    def remove_dead(
        self, is_dead: Callable[[Mapping[str, str]], bool], say: Say, *filters: Mapping[str, Any]
    ) -> None:
        """Remove instances, key pairs and security groups that fit and are dead by our tags."""
        instances = self.find_instances(*filters, ALIVE)
        dead = [one["InstanceId"] for one in instances if is_dead(read_words(one))]
        if dead:
            say(f"removes what a killed run left: {', '.join(dead)}")
        self.end_instances(dead)
        for key in self.list("ec2", "describe_key_pairs", Filters=filters):
            if is_dead(read_words(key)):
                self.call("ec2", "delete_key_pair", KeyName=key["KeyName"])
        for group in self.find_security_groups(*filters):
            if is_dead(read_words(group)):
                self.delete_security_group(group["GroupId"])

    def delete_security_group(self, group: str) -> None:
        """Delete a security group; a missing one is no error.

        The network card of an instance that has just ended holds it for some time.
        """
        self.call(
            "ec2",
            "delete_security_group",
            missing=("InvalidGroup.NotFound",),
            again=("DependencyViolation", "InvalidGroup.InUse"),
            GroupId=group,
        )


def _is_one_of(answer: Mapping[str, Any], refusals: Sequence[str]) -> bool:
    """Return whether a refusal has one of the codes, and in its message the words beside it."""
    error = answer.get("Error", {})
    wanted = (one.partition(": ") for one in refusals)
    return any(
        code == error.get("Code") and words in error.get("Message", "") for code, _, words in wanted
    )
