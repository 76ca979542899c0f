"""The SSM agent for the lock, from a storage of the test's own."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest

from harness.checkout import ROOT
from immutable_servers.errors import ImageError
from immutable_servers.targets.aws import upstream
from immutable_servers.targets.aws.settings import AwsSettings
from immutable_servers.targets.aws.upstream import find_agent, needs_agent


def make_settings(**more: object) -> AwsSettings:
    """Return settings with little more than a region."""
    return AwsSettings.model_validate({"region": "eu-central-1", **more})


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that answers in place of Amazon's storage."""

    def answer(url: str, _seconds: float) -> BinaryIO:
        return (tmp_path / url.removeprefix(f"{upstream.PLACE}/")).open("rb")

    monkeypatch.setattr(upstream, "open_https", answer)
    return tmp_path


def test_the_lock_names_version_and_digest(storage: Path) -> None:
    """The newest version's package for the architecture, with the digest of what is there now."""
    package = storage / "3.3.1/debian_arm64/amazon-ssm-agent.deb"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"package")
    (storage / "latest").mkdir()
    (storage / "latest/VERSION").write_text("3.3.1\n")
    found = find_agent(make_settings(architecture="arm64"), lambda _line: None)
    assert found == {
        "url": f"{upstream.PLACE}/3.3.1/debian_arm64/amazon-ssm-agent.deb",
        "sha256": hashlib.sha256(b"package").hexdigest(),
    }


def test_a_storage_that_is_not_reached_is_said() -> None:
    """The address is in the error."""
    with pytest.raises(ImageError, match="latest/VERSION"):
        find_agent(make_settings(), lambda _line: None)


def test_only_session_manager_needs_it() -> None:
    """Neither public addresses nor the user's own way do."""
    assert not needs_agent(make_settings())
    assert not needs_agent(make_settings(verify_through="ssh_config", ssh_config="bastion"))
    assert needs_agent(make_settings(build_through="ssm", build_instance_profile="bake"))
    assert needs_agent(make_settings(public_addresses=False, instance_profile="web"))


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="there is no systemd here")
def test_what_the_agent_knows_of_the_bake_goes_as_a_server_boots(tmp_path: Path) -> None:
    """Not before: the bake's own login may be a session of the agent, which lives in there."""
    source = (ROOT / "components/immutable_servers/targets/aws/source.pkr.hcl").read_text()
    lines = [line.strip() for line in source.splitlines() if "/var/lib/amazon" in line]
    (wrote,) = lines
    rule = re.fullmatch(r"printf '(.*)\\n' >/etc/tmpfiles.d/[a-z-]+\.conf", wrote)
    assert rule
    known = tmp_path / "root/var/lib/amazon/ssm/i-0123/registration"
    known.parent.mkdir(parents=True)
    known.touch()
    (tmp_path / "rule.conf").write_text(f"{rule[1]}\n")
    command = ["systemd-tmpfiles", f"--root={tmp_path}/root", "--remove", f"{tmp_path}/rule.conf"]
    subprocess.run(command, check=True)
    assert known.exists()
    subprocess.run([*command, "--boot"], check=True)
    assert not known.parent.parent.exists()
