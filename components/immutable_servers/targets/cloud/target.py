"""What the targets of clouds share: they are asked through an API, and launch data has a limit."""

from collections.abc import Mapping
from typing import Any, ClassVar

from immutable_servers.contract.target import Target
from immutable_servers.targets.cloud.calls import CloudApi
from immutable_servers.targets.cloud.tags import Records
from immutable_servers.targets.shared import launch_data


class CloudTarget(Target):
    """Servers in an account of a cloud.

    Attributes:
        api: What the cloud is asked through, by all roles.
        most_launch_data: Bytes of launch data that the cloud hands a server.
        records: Where a generation's record is, if that has less room than launch data.
    """

    api: CloudApi[Any]
    most_launch_data: ClassVar[int]
    records: ClassVar[Records | None] = None

    def ask_once(self) -> None:
        """Keep what the cloud lists."""
        self.api.asked.begin()

    def check_env(self, env: Mapping[str, str]) -> None:
        """Refuse what does not fit into launch data, or into a generation's record."""
        launch_data.check_env(env, self.most_launch_data)
        if self.records:
            self.records.check_env(env)
