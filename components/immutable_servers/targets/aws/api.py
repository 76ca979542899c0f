"""Asks AWS through boto3: one place for clients, retries and what an answer means.

Endpoints, credentials and proxies are the SDK's own settings (`AWS_ENDPOINT_URL`, `AWS_PROFILE` and
so on), so whatever works with the `aws` command works here.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

from immutable_servers.contract.values import Say
from immutable_servers.errors import ImmutableError, LaunchError, SetupError
from immutable_servers.system.waiting import wait_until
from immutable_servers.targets.aws.names import read_words, where
from immutable_servers.targets.aws.settings import AwsSettings

CONNECT_SECONDS = 10
READ_SECONDS = 60
AGAIN_SECONDS = 300.0
"""How long a call is made again whose refusal passes by itself."""
AGAIN_PAUSE = 5.0
WAIT_SECONDS = 600.0
"""How long AWS may take to show, or to end, what it has been asked for."""
PAGES: Mapping[str, str] = {"NextToken": "NextToken", "NextMarker": "Marker"}
"""Where an answer says that there is more, and the argument that asks for it."""
ALIVE = where("instance-state-name", "pending", "running", "stopping", "stopped")
"""Filter of instances that are not gone."""
AT_ONCE = 16
"""Regions that are asked at the same time."""

T = TypeVar("T")


class Api:
    """AWS in one region, as one profile; `kind` is the branch of errors about an operation."""

    def __init__(
        self, settings: AwsSettings, region: str = "", kind: type[ImmutableError] = LaunchError
    ) -> None:
        self.settings, self.kind = settings, kind
        self.region = region or settings.region

    def elsewhere(self, region: str) -> "Api":
        """Return the same in another region."""
        return Api(self.settings, region, self.kind)

    def raising(self, kind: type[ImmutableError]) -> "Api":
        """Return the same with another branch for errors that are about an operation itself."""
        return Api(self.settings, self.region, kind)

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
            missing: Error codes that are an answer: an empty one.
            again: Error codes that pass: something that is on its way out still uses a thing.
            arguments: The operation's own.

        Raises:
            ImmutableError: With what failed, what AWS said, and what to do.
            StoppedError: This process was asked to stop while a refusal had to pass.
        """
        from immutable_servers.targets.aws.faults import (  # noqa: PLC0415 - imports botocore
            BotoCoreError,
            ClientError,
            explain,
        )

        settings = self.settings
        refusals: list[ClientError] = []

        def ask() -> Sequence[Mapping[str, Any]]:
            """Return the answer in a list, or nothing when a refusal may pass."""
            try:
                return [getattr(client, operation)(**arguments)]
            except ClientError as error:
                refusals.append(error)
                code = error.response.get("Error", {}).get("Code")
                if code not in (*missing, *again):
                    raise
                return [{}] if code in missing else []

        try:
            client = _find_client(service, self.region, settings.profile, settings.attempts)
            what = f"{operation} of {service}"
            answers = wait_until(what, AGAIN_SECONDS, ask, every=AGAIN_PAUSE)
            if not answers:
                raise refusals[-1]
        except (ClientError, BotoCoreError) as error:
            raise explain(error, service, operation, self.region, self.kind) from error
        return answers[0]

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
        found: list[Any] = []
        while True:
            answer = self.call(service, operation, missing=missing, **arguments)
            found += answer.get(key, [])
            name = next((page for page in PAGES if answer.get(page)), "")
            if not name:
                return found
            arguments[PAGES[name]] = answer[name]

    def wait(self, what: str, look: Callable[[], T]) -> T:
        """Wait until AWS shows what it has accepted already; return what `look` returned last.

        Raises:
            ImmutableError: It did not come in time, or AWS refused to say.
            StoppedError: This process was asked to stop.
        """
        found = wait_until(f"waiting for {what}", WAIT_SECONDS, look, every=AGAIN_PAUSE)
        if not found:
            todo = "Run the same command again."
            raise self.kind(f"AWS did not come to {what} in time", todo=todo)
        return found

    def find_instances(self, *filters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return what EC2 says of the instances that fit, also of those that have just ended."""
        found = self.list("ec2", "describe_instances", key="Reservations", Filters=filters)
        return [instance for reservation in found for instance in reservation["Instances"]]

    def find_amis(
        self, *filters: Mapping[str, Any], owners: Sequence[str] = ("self",)
    ) -> Sequence[Mapping[str, Any]]:
        """Return what EC2 says of the AMIs that fit."""
        return self.list("ec2", "describe_images", Owners=owners, Filters=filters)

    def ask_everywhere(self, look: Callable[["Api"], T]) -> Sequence[tuple["Api", T]]:
        """Ask in every region that is enabled for the account, side by side."""
        apis = [self.elsewhere(region) for region in self.find_regions()]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [*zip(apis, pool.map(look, apis), strict=True)]

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


@lru_cache(maxsize=64)
def _find_client(service: str, region: str, profile: str, attempts: int) -> Any:  # noqa: ANN401 - boto3's
    session = _find_session(profile)
    from botocore.config import Config  # noqa: PLC0415 - only when AWS is asked

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        user_agent_extra="immutable-servers",
    )
    return session.client(service, region_name=region, config=config)


@lru_cache(maxsize=8)
def _find_session(profile: str) -> Any:  # noqa: ANN401 - made by boto3
    try:
        import boto3  # noqa: PLC0415 - stacks on other targets do without
    except ImportError as error:
        raise SetupError(
            "The Python packages for stacks on aws are missing",
            facts=[str(error)],
            todo="Run `./immutable up` on such a stack: it installs requirements-aws.lock.",
        ) from error
    return boto3.Session(profile_name=profile or None)


def forget_clients() -> None:
    """Make clients and sessions anew when they are needed next: credentials have changed."""
    _find_client.cache_clear()
    _find_session.cache_clear()
