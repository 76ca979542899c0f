"""The wrapper around Packer, with the real one and a builder that boots nothing."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bake_requests import make_request
from immutable_servers.contract.values import BakeRequest
from immutable_servers.errors import ImageError, SetupError
from immutable_servers.images import packer as module
from immutable_servers.images.packer import PackerRun
from immutable_servers.images.template import check_template, explain
from immutable_servers.system.supervisor import read_stat

pytestmark = pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not on the PATH")

VARIABLES = """
variable "image" { type = string }
variable "version" { type = string }
variable "manifest_path" { type = string }
"""
BUILD = """
source "null" "x" { communicator = "none" }
build {
  sources = ["source.null.x"]
  provisioner "shell-local" { inline = [INLINE] }
  post-processor "manifest" {
    output = var.manifest_path
    custom_data = { version = var.version }
  }
}
"""
SENSITIVE = """
variable "token" {
  type = string
  sensitive = true
}
"""

Bake = Callable[..., BakeRequest]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the user's folders out of the tests, and the path of Packer's sockets short."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield
        left = list(Path(folder).rglob("packer-*"))
        assert not left, "Packer's private folders are removed"


@pytest.fixture
def request_for(tmp_path: Path) -> Bake:
    """Write a template and return a request to bake it, whose progress goes nowhere."""

    def make(
        text: str, secrets: Mapping[str, str] | None = None, deadline: float = 60
    ) -> BakeRequest:
        return make_request(tmp_path, text, secrets=secrets or {}, deadline=deadline)

    return make


def build_with(*commands: str) -> str:
    inline = ", ".join(f'"{command}"' for command in commands)
    return VARIABLES + BUILD.replace("INLINE", inline)


def test_build(request_for: Bake) -> None:
    """A build gives its entry of the manifest, says progress, and leaves the log alone."""
    said: list[str] = []
    request = replace(request_for(build_with("echo ${var.image} baked")), say=said.append)
    entry = PackerRun(request).build({})
    assert entry["custom_data"] == {"version": "0123456789ab"}
    assert said
    assert "base baked" in request.log.read_text()
    assert [path.name for path in request.log.parent.iterdir()] == ["bake.log"]


def test_variables_of_the_target(request_for: Bake) -> None:
    """A target's variables are handed over, and one that the template lacks is refused by name."""
    request = request_for(build_with("echo disk ${var.disk}") + 'variable "disk" {}\n')
    PackerRun(request).build({"disk": "here.qcow2"})
    assert "disk here.qcow2" in request.log.read_text()
    with pytest.raises(ImageError, match='"nowhere" variable'):
        PackerRun(request).build({"disk": "here.qcow2", "nowhere": "x"})


def test_without_manifest(request_for: Bake) -> None:
    """A template without `manifest_path` bakes and has no entry."""
    text = VARIABLES.replace("manifest_path", "unused").replace(
        'variable "unused" { type = string }', ""
    )
    text += BUILD.replace("INLINE", '"true"').partition("  post-processor")[0] + "}\n"
    assert PackerRun(request_for(text)).build({}) == {}


def test_script_exits_3(request_for: Bake) -> None:
    """A script's failure is told in Packer's words, with what it printed last and the log."""
    request = request_for(build_with("echo disk is full", "exit 3"))
    with pytest.raises(ImageError) as caught:
        PackerRun(request).build({})
    text = str(caught.value)
    assert "Script exited with non-zero exit status: 3" in text
    assert "disk is full" in text
    assert str(request.log) in text


def test_a_template_sees_nothing_of_the_users_environment(
    request_for: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, key or passphrase reaches a bake; what the target's tools need does, by name."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the state")
    monkeypatch.setenv("CI_JOB_TOKEN", "of the runner")
    monkeypatch.setenv("CLOUD_KEY", "of the cloud")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    PackerRun(request_for(build_with(f"env > {tmp_path}/seen"))).build({})
    seen = (tmp_path / "seen").read_text()
    assert "https_proxy=http://proxy.example" in seen
    assert not [word for word in ("PASSPHRASE", "CI_JOB_TOKEN", "CLOUD_KEY") if word in seen]
    PackerRun(request_for(build_with(f"env > {tmp_path}/seen")), needed=["CLOUD_*"]).build({})
    assert "CLOUD_KEY=of the cloud" in (tmp_path / "seen").read_text()


def test_deadline(request_for: Bake, tmp_path: Path) -> None:
    """A bake that hangs is ended with its script, and the error names what was waited for."""
    request = request_for(build_with(f"echo $$ > {tmp_path}/pid", "exec sleep 600"), deadline=8)
    with pytest.raises(ImageError, match="deadline of 8 s while waiting for `packer build`") as bad:
        PackerRun(request).build({})
    assert str(request.log) in str(bad.value)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def climb(pid: int, top: int) -> Iterator[int]:
    """Yield a process and those above it, up to but without `top`."""
    while pid != top:
        yield pid
        stat = read_stat(pid)
        assert stat
        pid = stat.parent


def test_killed(request_for: Bake, tmp_path: Path) -> None:
    """`kill -9` of the run during a bake ends Packer and its script."""
    request_for(build_with("echo the script is $$", "exec sleep 600"))
    program = (
        "import sys, json; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(module.__file__).parents[2])!r})\n"
        "from immutable_servers.images.packer import PackerRun\n"
        "from immutable_servers.contract.values import BakeRequest\n"
        "from dataclasses import fields\n"
        "given = dict.fromkeys([field.name for field in fields(BakeRequest)])\n"
        f"given |= dict(template=Path({str(tmp_path / 'template')!r}), image='base', version='1',\n"
        f"  variables={{}}, secrets={{}}, masked=(), deadline=60,\n"
        f"  log=Path({str(tmp_path / 'bake.log')!r}),\n"
        "  lineage={}, say=lambda line: print(line, flush=True))\n"
        "import immutable_servers.images.packer as module\n"
        "module.SAY_EVERY = 0\n"
        "PackerRun(BakeRequest(**given)).build({})\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as run:
        assert run.stdout
        line = next(text for text in run.stdout if b"the script is" in text)
        pids = list(climb(int(line.split()[-1]), run.pid))
        pidfds = [os.pidfd_open(pid) for pid in pids]
        assert len(pidfds) >= 3, "script, Packer and supervisor"
        run.kill()
        for pidfd in pidfds:
            assert select.select([pidfd], [], [], 30)[0], "a process was left"
            os.close(pidfd)


def test_malformed_template(request_for: Bake) -> None:
    """HCL that does not parse fails with Packer's own message, file and line."""
    with pytest.raises(ImageError) as caught:
        PackerRun(request_for(f"{VARIABLES}\nbuild {{\n")).build({})
    assert "Unclosed configuration block" in str(caught.value)
    assert "image.pkr.hcl line 6" in str(caught.value)


def test_packer_killed(request_for: Bake) -> None:
    """A Packer that somebody kills is no fault of the template; nothing that it started is left."""
    pidfds: list[int] = []

    def kill(last_line: str) -> None:
        if not pidfds and "the script is" in last_line:
            *below, packer, _supervisor = climb(int(last_line.rsplit(maxsplit=1)[-1]), os.getpid())
            pidfds.extend(os.pidfd_open(pid) for pid in below)
            os.kill(packer, signal.SIGKILL)

    request = request_for(build_with("echo the script is $$", "exec sleep 600"))
    with pytest.raises(ImageError, match="was ended by the signal SIGKILL") as caught:
        PackerRun(request).build({}, kill)
    assert "Run the same command again" in caught.value.todo
    assert "Correct" not in caught.value.todo
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 30)[0], "a process was left"
        os.close(pidfd)


def test_secret_is_nowhere(request_for: Bake, tmp_path: Path) -> None:
    """A sensitive variable reaches the script, and neither the log, the arguments nor a file."""
    text = SENSITIVE + build_with(
        f"echo ${{var.token}} | sha256sum > {tmp_path}/digest",
        "echo printed ${var.token}",
        "tr '\\\\0' ' ' < /proc/$PPID/cmdline",
        "exit 3",
    )
    request = request_for(text, {"token": "hunter2-geheim"})
    with pytest.raises(ImageError) as caught:
        PackerRun(request).build({})
    assert "hunter2" not in str(caught.value)
    assert "printed <sensitive>" in request.log.read_text()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) >= 3
    assert not [path for path in left if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("declaration", "fact"),
    [("", "no variable of this name"), ('variable "token" {}\n', "not sensitive")],
)
def test_secret_has_to_be_sensitive(request_for: Bake, declaration: str, fact: str) -> None:
    """A secret is not handed to a template that would lose or print it."""
    request = request_for(declaration + build_with("true"), {"token": "hunter2-geheim"})
    with pytest.raises(ImageError, match=fact):
        PackerRun(request).build({})


def test_missing_packer(request_for: Bake) -> None:
    """Without Packer the error says how to get it."""
    with pytest.raises(SetupError, match="doctor"):
        PackerRun(request_for(build_with("true")), packer="no-such-packer").build({})


def test_check_template(request_for: Bake, tmp_path: Path) -> None:
    """A check accepts once for each version, and then starts no Packer any more."""
    folder, cache = request_for(build_with("true")).template, tmp_path / "cache" / "base-1"
    check_template(folder, {}, cache=cache)
    check_template(folder, {}, cache=cache, packer="no-such-packer")
    with pytest.raises(SetupError):
        check_template(folder, {}, cache=tmp_path / "other", packer="no-such-packer")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build {\n", "image.pkr.hcl line 1"),
        ("bulid {}\n", "Unsupported block type"),
        ('variable "a" { type = nonsense }\n', "image.pkr.hcl line 1"),
        (build_with("true").replace("inline", "inlne"), 'Did you mean "inline"'),
        (
            build_with("true").replace('["source.null.x"]', '["source.null.y"]'),
            "Unknown source null.y",
        ),
        (build_with("${var.nowhere}"), "nowhere"),
    ],
    ids=["unclosed", "block", "type", "argument", "source", "variable"],
)
def test_check_refuses(request_for: Bake, tmp_path: Path, text: str, message: str) -> None:
    """A malformed template fails the preview in Packer's words, every time."""
    folder, cache = request_for(text).template, tmp_path / "cache" / "base-1"
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            check_template(folder, {}, cache=cache, named="packer/app")
        assert message in str(caught.value)
        assert caught.value.what == "Packer does not accept the template in packer/app"


def test_check_leaves_values_to_the_bake(request_for: Bake, tmp_path: Path) -> None:
    """What only a bake knows does not fail a preview: values, files, the parent's disk."""
    text = build_with("true", "${var.missing_here}").replace(
        "post-processor",
        'provisioner "file" {\n source = var.disk\n destination = "/x"\n}\n  post-processor',
    )
    text += 'variable "disk" {\n  type = string\n}\nvariable "missing_here" {}\n'
    cache = tmp_path / "cache"
    check_template(request_for(text).template, {}, cache=cache)
    assert cache.exists()


def test_explain_without_a_message() -> None:
    """Output in which Packer names no error is shown by its last lines."""
    assert explain([str(at) for at in range(9)]) == ["4", "5", "6", "7", "8"]


def test_only_lines_of_the_build_are_progress() -> None:
    """A warning of Packer's, with its place in the template, is in the log and not in progress."""
    said: list[str] = []
    follower = module._Follower(deque(), said.append)
    for line in ("Warning: no checksum", "  on local.pkr.hcl line 57:", "==> qemu.local: Boots"):
        follower(line)
    assert said == ["Boots"]
    assert len(follower.lines) == 3


def test_the_last_line_before_a_pause_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of lines that come at once the first is said, and the last when a second is over; once."""
    now = 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    said: list[str] = []
    follower = module._Follower(deque(), said.append)
    for line in ("Retrieves", "Starts", "Waits for SSH"):
        follower(f"==> qemu.local: {line}")
    follower.say_waiting()
    assert said == ["Retrieves"]
    now += module.SAY_EVERY
    follower.say_waiting()
    follower.say_waiting()
    assert said == ["Retrieves", "Waits for SSH"]
