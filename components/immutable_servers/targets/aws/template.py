"""Renders launch templates: plain arguments of `aws.ec2.LaunchTemplate`, and launch data."""

from collections.abc import Mapping
from typing import Any

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import LaunchError, make_left_out
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.shared.launch_data import describe_launch, render_launch

ROOT_DEVICE = "/dev/xvda"
"""Of Debian's AMIs: https://wiki.debian.org/Cloud/AmazonEC2Image."""
DISK = {"encrypted": "true", "volume_type": "gp3", "delete_on_termination": "true"}
OURS = frozenset({"image_id", "user_data", "tags"})
"""Arguments that `launch_overrides` may not change: they make a generation."""
TAGGED = ("instance", "volume", "network-interface")
"""Resources that are made with a server and carry its tags."""
MOST_USER_DATA = 16 * 1024
"""Bytes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""


def render_shape(settings: AwsSettings, launch: Launch) -> dict[str, Any]:
    """Return the arguments that our code gives every server, as plain values.

    They are digested into a generation's id, so that a program that shapes servers differently
    makes a new generation.
    """
    disk: dict[str, Any] = {**DISK}
    if settings.kms_key:
        disk["kms_key_id"] = settings.kms_key
    if settings.volume:
        disk["volume_size"] = settings.volume
    shape: dict[str, Any] = {
        "instance_type": settings.find_size(launch.size),
        "instance_initiated_shutdown_behavior": "terminate",
        "metadata_options": {
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
        },
        "block_device_mappings": [{"device_name": ROOT_DEVICE, "ebs": disk}],
        "network_interfaces": [
            {
                "device_index": 0,
                # The provider takes truth values of a launch template as text.
                "associate_public_ip_address": str(settings.has_public_addresses).lower(),
                "delete_on_termination": "true",
            }
        ],
    }
    if settings.instance_profile:
        shape["iam_instance_profile"] = {"name": settings.instance_profile}
    return shape


def render_instance(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same arguments as EC2's own `run_instances` takes them.

    Only what `render_shape` makes is known here: names in Pascal case, truth values as such.
    """

    def convert(value: Any) -> Any:  # noqa: ANN401 - plain values
        if isinstance(value, Mapping):
            return {key.title().replace("_", ""): convert(value[key]) for key in value}
        if isinstance(value, list):
            return [convert(one) for one in value]
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value

    return dict(convert(shape))


def render_user_data(
    scope: Scope,
    launch: Launch,
    key: str | None,
    ends: int | None,
    inspection_key: str | None = "",
    *,
    logs: Mapping[str, str] | None = None,
) -> str:
    """Return the launch data of every server of a generation.

    A server adds its own name, and ships its journal where `logs` says. Servers that are launched
    when the window is over boot sealed.

    Raises:
        ImmutableError: The run leaves out what makes key and window.
        LaunchError: It is too large.
    """
    if not key or not ends:
        raise make_left_out("missing: the login key or its window")
    people, header = inspection_key or "", launch.generation_header
    told = describe_launch(scope, launch.env, key, int(ends), inspection_key=people, header=header)
    text = render_launch({**told, "logs": dict(logs)} if logs else told)
    if len(text) > MOST_USER_DATA:
        raise LaunchError(
            "The launch data does not fit into EC2 user data",
            facts=[f"{len(text)} bytes, at most {MOST_USER_DATA}"],
            todo="Make `env` of the service smaller.",
        )
    return text
