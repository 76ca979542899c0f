"""What the setting `bake` hands to a bake, run by the real Packer with each target's own line."""

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.bake_requests import make_request
from immutable_servers.contract.values import BakeRequest
from immutable_servers.errors import ImageError
from immutable_servers.images.outside import render_outside
from immutable_servers.images.packer import PackerRun
from immutable_servers.images.template import takes_outside
from immutable_servers.settings.models import BakeSettings
from immutable_servers.targets import TARGETS, find_target_class

needs_packer = pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not on the PATH")
PASSWORD = "geheim'{{1}} $HOME"  # noqa: S105 - made up, with what shell and Packer would read
MAKE_CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes"),
    *("-subj", "/CN=Company"),
)
BUILD = """
source "null" "x" {{ communicator = "none" }}
build {{
  sources = ["source.null.x"]
  provisioner "shell-local" {{
    execute_command = ["/bin/sh", "-c", local.execute]
    environment_vars = ["LINEAGE=it's {{}}"]
    script = "{script}"
  }}
}}
"""


@pytest.fixture
def certificate(tmp_path: Path) -> None:
    """Write a company's certificate, in a file that holds its key too."""
    file = tmp_path / "company.pem"
    subprocess.run(
        [*MAKE_CERTIFICATE, "-keyout", file, "-out", tmp_path / "alone.pem"],
        check=True,
        capture_output=True,
    )
    file.write_text(f"{file.read_text()}\n{(tmp_path / 'alone.pem').read_text()}")


def read_line(name: str, user: str) -> str:
    """Return what a target's source says of running scripts, for a program on this machine."""
    source = find_target_class(name).packer_source
    assert source
    blocks = re.findall(
        r'^(?:variable "bake"|local "execute").*?^}\n', source.read_text(), re.MULTILINE | re.DOTALL
    )
    text = "".join(blocks).replace("{{ .Path }}", "{{ .Script }}")
    return text.replace("var.login", f'"{user}"')


def bake(tmp_path: Path, name: str, settings: BakeSettings, run: Mapping[str, str]) -> BakeRequest:
    """Run a script that notes its environment as a bake on a target would run it."""
    script = tmp_path / "script.sh"
    script.write_text(f'env -0 >{tmp_path}/seen; echo "proxy is $https_proxy"\n')
    outside = render_outside(settings, tmp_path, run, str(tmp_path / "memory"))
    text = read_line(name, "root") + BUILD.format(script=script)
    secrets = {"bake": outside.script} if outside.script else {}
    request = make_request(tmp_path, text, secrets=secrets, masked=outside.masked)
    PackerRun(request).build({})
    return request


def read_seen(tmp_path: Path) -> dict[str, str]:
    """Return the environment that the script had."""
    lines = (tmp_path / "seen").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


@needs_packer
@pytest.mark.usefixtures("certificate")
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_script_sees_proxy_certificates_and_variables(tmp_path: Path, name: str) -> None:
    """Each target's scripts see them, whatever characters they hold; no log shows a password."""
    settings = BakeSettings(
        proxy="http://me:geheim'{{1}}@proxy.example.com:3128",
        ca="company.pem",
        env={"PIP_INDEX_URL": "$INDEX", "NAME": PASSWORD, "PIP_CERT": "mine.pem", "LEFT": "$OUT"},
    )
    index = "https://token-of-mine@pypi.example.com/simple"
    request = bake(tmp_path, name, settings, {"INDEX": index})
    seen = read_seen(tmp_path)
    assert seen["https_proxy"] == seen["HTTP_PROXY"] == settings.proxy
    assert (seen["PIP_INDEX_URL"], seen["NAME"], seen["PIP_CERT"]) == (index, PASSWORD, "mine.pem")
    assert seen["LINEAGE"] == "it's {}"
    assert "LEFT" not in seen
    trusted = Path(seen["SSL_CERT_FILE"])
    assert trusted.parent == tmp_path / "memory"
    assert "PRIVATE" not in trusted.read_text()
    context = ssl.create_default_context(cafile=str(trusted))
    assert "Company" in str(context.get_ca_certs())
    assert str(trusted) in Path(seen["APT_CONFIG"]).read_text()
    log = request.log.read_text()
    assert "proxy is" in log
    assert not [word for word in ("geheim", "token-of-mine") if word in log]


@needs_packer
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_without_the_setting_nothing_is_handed_over(tmp_path: Path, name: str) -> None:
    """No variable and no file, and the script runs."""
    assert render_outside(BakeSettings(), tmp_path, os.environ).script == ""
    bake(tmp_path, name, BakeSettings(), {})
    assert read_seen(tmp_path)["LINEAGE"]
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("https://me:p%20w@pypi.example.com/", {"p%20w", "p w"}),
        ("https://token-of%20mine@pypi.example.com/", {"token-of%20mine", "token-of mine"}),
        ("ssh://git@example.com/", set()),
        ("https://pypi.example.com/", None),
    ],
)
def test_a_login_is_masked_also_outside_of_its_url(
    tmp_path: Path, url: str, hidden: set[str] | None
) -> None:
    """A program prints it in a way of its own: a password, or a token in the user's place."""
    outside = render_outside(BakeSettings(env={"PIP_INDEX_URL": url}), tmp_path, {})
    assert {*outside.masked} == (set() if hidden is None else {url, *hidden})


def test_what_is_not_set_here_is_left_out_and_said(tmp_path: Path) -> None:
    """One stack file serves a machine with a proxy and one without."""
    settings = BakeSettings(proxy="$https_proxy", ca="$MY_CA")
    outside = render_outside(settings, tmp_path, {})
    assert outside.script == ""
    assert outside.notes == [
        "$https_proxy is not set here: the bake does without",
        "$MY_CA is not set here: the bake does without",
    ]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (None, "No such file"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "0 certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * 1200, "at most 65536"),
    ],
    ids=["missing", "key", "bundle"],
)
def test_certificates_that_cannot_be_used(tmp_path: Path, text: str | None, fact: str) -> None:
    """The error names the file and what is wrong with it, before anything is started."""
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(ImageError, match=fact):
        render_outside(BakeSettings(ca="ca.pem"), tmp_path, {})


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('provisioner "shell" {\n  execute_command = local.execute\n}\n', True),
        ('provisioner "shell" {\n  execute_command  = local.sudo\n}\n', True),
        ('provisioner "file" {\n}\n', True),
        ('provisioner "shell" {\n  inline = ["true"]\n}\n', False),
    ],
)
def test_a_script_that_the_setting_does_not_reach(
    tmp_path: Path, text: str, *, taken: bool
) -> None:
    """A template that runs a script its own way is found, so that the bake can say so."""
    (tmp_path / "local.pkr.hcl").write_text(text)
    assert takes_outside(tmp_path) is taken
