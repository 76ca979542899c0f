"""The SSM agent for the lock, from a storage of the test's own."""

import hashlib
from pathlib import Path

import pytest

from immutable_servers.errors import ImageError
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.upstream import find_agent, needs_agent


def make_settings(**more: object) -> AwsSettings:
    """Return settings with little more than a region."""
    return AwsSettings.model_validate({"region": "eu-central-1", **more})


def test_the_lock_names_version_and_digest(tmp_path: Path) -> None:
    """The newest version's package for the architecture, with the digest of what is there now."""
    package = tmp_path / "3.3.1/debian_arm64/amazon-ssm-agent.deb"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"package")
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest/VERSION").write_text("3.3.1\n")
    found = find_agent(make_settings(architecture="arm64"), lambda _line: None, tmp_path.as_uri())
    assert found == {"url": package.as_uri(), "sha256": hashlib.sha256(b"package").hexdigest()}


def test_a_storage_that_is_not_reached_is_said(tmp_path: Path) -> None:
    """The address is in the error."""
    with pytest.raises(ImageError, match="latest/VERSION"):
        find_agent(make_settings(), lambda _line: None, tmp_path.as_uri())


def test_only_session_manager_needs_it() -> None:
    """Neither public addresses nor a jump host do."""
    assert not needs_agent(make_settings())
    assert not needs_agent(make_settings(verify_through="jump", jump_host="admin@bastion"))
    assert needs_agent(make_settings(build_through="ssm", build_instance_profile="bake"))
    assert needs_agent(make_settings(public_addresses=False, instance_profile="web"))
