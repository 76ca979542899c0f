"""Settings of the aws target that an earlier program had."""

import json

import pytest

from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets.aws import AwsSettings, AwsTarget
from immutable_servers.targets.aws.template import render_user_data
from immutable_servers.targets.shared.launch_data import seal_launch


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"verify_through": "jump", "jump_host": "me@bastion"}, "ProxyJump user@host"),
        ({"verify_through": "jump"}, "verify_through: ssh_config"),
        ({"scaling": {"cpu": 50, "most": 8}}, "set that to what the service needs"),
    ],
)
def test_what_is_gone_says_what_to_write_instead(gone: dict[str, object], said: str) -> None:
    """Who has it learns the other way, and does not guess from a list of settings."""
    with pytest.raises(ValueError, match=said):
        AwsSettings.model_validate({"region": "eu-central-1", **gone})


def test_a_state_with_what_is_gone_is_read() -> None:
    """What an earlier program made is changed and deleted with the settings of then."""
    settings = {"region": "eu-central-1", "verify_through": "jump", "jump_host": "me@bastion"}
    target = AwsTarget({**settings, "scaling": {"cpu": 50, "most": 8}})
    assert target.settings.reach == "private"
    assert AwsTarget({"region": "eu-central-1", "jump_host": "", "scaling": None})


def test_types_on_xen_are_refused_where_their_host_key_must_be_known() -> None:
    """Over the internet nobody could log in to verify them; other ways need no console."""
    region = {"region": "eu-central-1"}
    with pytest.raises(SettingsError, match=r"cannot log in to t2\.micro over the internet"):
        AwsTarget(region).resolve_size("t2.micro")
    assert AwsTarget(region).resolve_size("t3.micro") == {"instance_type": "t3.micro"}
    ssm = {**region, "verify_through": "ssm", "instance_profile": "web"}
    assert AwsTarget(ssm).resolve_size("t2.micro") == {"instance_type": "t2.micro"}


def test_logs_make_a_new_generation_and_need_rights() -> None:
    """Launch data says where they go; without the setting nothing of a generation changes."""
    settings, launch = {"region": "eu-central-1"}, Launch("small", 80, "/")
    logs = {"logs": {"group": "/immutable-servers/web"}}
    with pytest.raises(ValueError, match="logs need an instance_profile"):
        AwsTarget({**settings, **logs})
    settings["instance_profile"] = "web"
    plain, shipping = AwsTarget(settings), AwsTarget({**settings, **logs})
    assert "logs" not in plain.describe_shape(launch)
    told = {"group": "/immutable-servers/web", "region": "eu-central-1"}
    assert shipping.describe_shape(launch) == {**plain.describe_shape(launch), "logs": told}
    scope = Scope("project", "dev", "web", "3f2a9c41")
    text = render_user_data(scope, launch, "ssh-ed25519 AAAA", 99, logs=told)
    assert json.loads(text)["logs"] == told
    assert json.loads(seal_launch(text))["logs"] == told
