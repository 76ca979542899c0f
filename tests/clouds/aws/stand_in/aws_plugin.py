"""Answers the engine as the official `aws` plugin would.

Each operation is carried out through boto3 at the endpoint that the provider's settings, or the
SDK's, name.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import aws_balancing
import aws_ec2
import aws_scaling
import boto3
from aws_kinds import read_code
from botocore.config import Config
from shared_kinds import Kind
from shared_plugin import Plugin
from shared_wire import Values


class AwsPlugin(Plugin):
    """The provider."""

    package = "aws"
    version = "7.51.1"
    kinds: ClassVar[Mapping[str, type[Kind]]] = {
        kind.urn_type: kind for kind in (*aws_ec2.KINDS, *aws_balancing.KINDS, *aws_scaling.KINDS)
    }
    used_settings = ("accessKey", "secretKey", "token", "region", "endpoints", "ignoreTags")
    idle_settings = (
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
    )

    def make_client(self, service: str) -> Any:  # noqa: ANN401 - the SDK's client
        """Make the SDK's client of a service."""
        endpoints: list[dict[str, str]] = self.settings.get("endpoints") or []
        own = [entry[service] for entry in endpoints if service in entry]
        session = boto3.session.Session(
            aws_access_key_id=self.settings.get("accessKey"),
            aws_secret_access_key=self.settings.get("secretKey"),
            aws_session_token=self.settings.get("token"),
            region_name=self.settings.get("region"),
        )
        return session.client(
            service,
            endpoint_url=own[0] if own else None,
            config=Config(user_agent_extra=f"pulumi-resource-aws/{self.version}"),
        )

    def is_unknown_yet(self, error: BaseException) -> bool:
        """Tell whether an error says that a thing does not exist."""
        return "NotFound" in read_code(error)

    def drop_ignored(self, inputs: Values) -> Values:
        """Return inputs without tags that the settings leave to others."""
        tags = inputs.get("tags")
        if not isinstance(tags, dict):
            return inputs
        prefixes = tuple((self.settings.get("ignoreTags") or {}).get("keyPrefixes", ()))
        kept = {key: value for key, value in tags.items() if not key.startswith(prefixes)}
        return {**inputs, "tags": kept}
