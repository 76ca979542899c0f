"""The target's Packer source beside an image's files: when it is staged, and what it costs."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.checkout import ROOT
from immutable_servers.contract.needs import Needs
from immutable_servers.errors import ImageError
from immutable_servers.identity import ImageInputs, make_version, read_image_inputs
from immutable_servers.images.bake import check_image
from immutable_servers.images.order import Order
from immutable_servers.images.staging import stage_image
from immutable_servers.images.template import (
    TARGET_FILE,
    check_template,
    declares_source,
    find_placeholders,
)
from immutable_servers.settings import ImageSettings
from immutable_servers.targets import TARGETS, find_target_class

if TYPE_CHECKING:
    from immutable_servers.contract.target import Target
    from immutable_servers.targets.place import Place

WHOLE = """variable "disk" { type = string }

source "qemu" "local" {
  iso_url = var.disk
}

build {
  sources = ["source.qemu.local"]
}
"""
BUILD = """build {
  sources = ["source.null.toy"]

  provisioner "shell-local" {
    inline = ["echo ${var.place}", local.machine]
  }
}
"""
TARGET_SOURCE = """variable "place" { type = string }

locals {
  machine = "true"
}

source "null" "toy" {
  communicator = "none"
}
"""
WHOLE_VERSION = "9353058ee59f"
BUILD_VERSION = "8c5802302e98"
"""Computed by the commit before targets brought a source."""
THIRD_ON = {
    "aws": (
        "amazon-ebs",
        dict.fromkeys(("kms_key", "ssh_interface"), "")
        | {"ami_name": "third", "tags": "{}", "bake_tags": "{}"},
    ),
    "digitalocean": (
        "digitalocean",
        dict.fromkeys(("vpc", "login", "user_data"), "")
        | {"token": "third", "name": "third", "tags": "[]", "source_image": "1", "ssh_key": "0"},
    ),
    "gcp": (
        "googlecompute",
        dict.fromkeys(("endpoint", "service_account", "subnetwork", "access_token"), "")
        | dict.fromkeys(("labels", "metadata", "image_labels"), "{}")
        | {"through": "ssh", "disk_size": "10", "image_architecture": "X86_64"}
        | dict.fromkeys(("name", "image_name", "image_family", "source_image"), "third"),
    ),
    "local": ("qemu", {"accelerator": "tcg", "login": ""}),
}
"""Builder, and values that its plugin takes, for each target."""
THIRD = """build {{
  sources = ["source.{builder}.{target}"]

  provisioner "shell" {{
    environment_vars = ["LINEAGE=${{var.lineage}}"]
    script           = "${{path.root}}/provision.sh"
  }}

  post-processor "manifest" {{
    output      = var.manifest_path
    custom_data = {{ version = var.version }}
  }}
}}
"""
needs_packer = pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not on the PATH")


@dataclass
class ToyTarget:
    packer_source: Path | None
    name: str = "local"
    architecture: str = "x86_64"
    needs: Needs = field(default_factory=Needs)


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the user's folders out of the tests, and the path of Packer's sockets short."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def toy(tmp_path: Path) -> ToyTarget:
    """Return a target that brings a source."""
    file = tmp_path / "program" / "source.pkr.hcl"
    file.parent.mkdir()
    file.write_text(TARGET_SOURCE)
    return ToyTarget(file)


def write_image(root: Path, template: str, name: str = "local.pkr.hcl") -> Path:
    """Write the image `app`, which has a parent, and return its folder."""
    folder = root / "packer" / "app"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(template)
    (folder / "provision.sh").write_text("#!/bin/sh -eu\n")
    return folder


def stage(root: Path, target: ToyTarget, destination: Path) -> ImageInputs:
    settings = ImageSettings(parent="base")
    return stage_image(root, settings, "app", cast("Target", target), None, destination)


def test_an_image_that_brings_its_source_is_staged_alone(tmp_path: Path, toy: ToyTarget) -> None:
    """A template with a source of its own bakes as it did: no file beside it, the same version."""
    folder = write_image(tmp_path, WHOLE)
    inputs = stage(tmp_path, toy, tmp_path / "staged")
    staged = tmp_path / "staged" / "template"
    assert sorted(file.name for file in staged.iterdir()) == ["local.pkr.hcl", "provision.sh"]
    assert all((folder / file.name).read_bytes() == file.read_bytes() for file in staged.iterdir())
    assert make_version(inputs).version == WHOLE_VERSION


def test_the_source_of_the_target_counts_in_no_version(tmp_path: Path, toy: ToyTarget) -> None:
    """An upgraded program bakes no image again: what a target brings is no input of a version."""
    write_image(tmp_path, BUILD)
    versions = {make_version(stage(tmp_path, ToyTarget(None), tmp_path / "without")).version}
    for text in (TARGET_SOURCE, f"# upgraded\n{TARGET_SOURCE}"):
        assert toy.packer_source
        toy.packer_source.write_text(text)
        destination = tmp_path / f"staged-{len(text)}"
        versions.add(make_version(stage(tmp_path, toy, destination)).version)
        assert (destination / "template" / TARGET_FILE).read_text() == text
    in_checkout = read_image_inputs(
        tmp_path,
        "app",
        ImageSettings(parent="base"),
        target="local",
        architecture="x86_64",
        parent_version=None,
    )
    assert versions | {make_version(in_checkout).version} == {BUILD_VERSION}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (WHOLE, True),
        ("source qemu local {}\n", True),
        ('  source "null"  "x"{\n}\n', True),
        (BUILD, False),
        ('build {\n  source "source.qemu.local" {\n    name = "x"\n  }\n}\n', False),
        ('build {\n  source "qemu.local" {}\n}\n', False),
        ('# source "null" "x" {}\n// source "null" "x" {}\n', False),
        ('/* mine was:\nsource "null" "x" {}\n*/\n', False),
        ('provisioner "file" {\n  source = "${path.root}/files"\n}\n', False),
    ],
)
def test_what_declares_a_source(tmp_path: Path, text: str, found: bool) -> None:  # noqa: FBT001
    """A block with two labels declares one; a use in a build, a comment and an argument do not."""
    assert declares_source(write_image(tmp_path, text)) is found


def test_a_source_in_json_and_in_any_file(tmp_path: Path) -> None:
    """Every file that Packer reads of the folder is looked at, JSON too."""
    folder = write_image(tmp_path, BUILD)
    file = folder / "mine.pkr.json"
    file.write_text('{"packer": {"required_plugins": {"x": {"source": "github.com/a/b"}}}}')
    assert not declares_source(folder)
    file.write_text('{"source": {"null": {"x": {"communicator": "none"}}}}')
    assert declares_source(folder)


def test_a_file_of_the_same_name_is_not_overwritten(tmp_path: Path, toy: ToyTarget) -> None:
    """What was hashed is what is baked: an image's own file never gives way to the target's."""
    write_image(tmp_path, BUILD, TARGET_FILE)
    with pytest.raises(ImageError, match="no file of that name"):
        stage(tmp_path, toy, tmp_path / "staged")


@needs_packer
def test_packer_accepts_a_build_block_alone(tmp_path: Path, toy: ToyTarget) -> None:
    """The image's build block uses source, variables and locals that the target brings."""
    write_image(tmp_path, BUILD)
    stage(tmp_path, toy, tmp_path / "staged")
    check_template(tmp_path / "staged/template", {}, cache=tmp_path / "accepted")
    assert (tmp_path / "accepted").exists()


@needs_packer
@pytest.mark.parametrize(
    ("more", "shown", "of_the_target"),
    [
        ('locals {\n  machine = "mine"\n}\n', "on local.pkr.hcl line 9", True),
        ('variable "place" {}\n', "Duplicate place variable", True),
        ("locals {\n  mine = nonsense()\n}\n", "on local.pkr.hcl line 9", False),
        ("provisioner {}\n", "on local.pkr.hcl line 8", False),
    ],
    ids=["local", "variable", "function", "block"],
)
def test_errors_name_the_image_s_own_line(
    tmp_path: Path, toy: ToyTarget, more: str, shown: str, *, of_the_target: bool
) -> None:
    """Packer's message names the line of the image's file; a clash with the target's says so."""
    write_image(tmp_path, BUILD + more)
    stage(tmp_path, toy, tmp_path / "staged")
    with pytest.raises(ImageError) as caught:
        check_template(tmp_path / "staged/template", {}, cache=tmp_path / "no", named="packer/app")
    assert shown in str(caught.value)
    assert ("it is the target's source" in str(caught.value)) is of_the_target


@needs_packer
def test_errors_in_the_target_s_source_say_whose_it_is(tmp_path: Path, toy: ToyTarget) -> None:
    """A message about the target's own line says that the file is not the image's."""
    write_image(tmp_path, BUILD)
    assert toy.packer_source
    toy.packer_source.write_text(TARGET_SOURCE.replace("communicator", "comunicator"))
    stage(tmp_path, toy, tmp_path / "staged")
    with pytest.raises(ImageError) as caught:
        check_template(tmp_path / "staged/template", {}, cache=tmp_path / "no")
    assert f"on {TARGET_FILE} line 8" in str(caught.value)
    assert f"{TARGET_FILE} is not the image's" in str(caught.value)


@needs_packer
def test_a_changed_source_of_the_target_is_checked_again(tmp_path: Path, toy: ToyTarget) -> None:
    """A preview does not take a version for accepted that was checked with another source."""
    write_image(tmp_path, BUILD)
    order = Order(
        image="app",
        version=BUILD_VERSION,
        digest="0" * 64,
        settings=ImageSettings(parent="base"),
        place=cast("Place", SimpleNamespace(load=lambda: toy)),
        parent=None,
        wanted=True,
    )
    check_image(tmp_path, order)
    assert toy.packer_source
    toy.packer_source.write_text(TARGET_SOURCE.replace("machine", "guest"))
    with pytest.raises(ImageError, match="machine"):
        check_image(tmp_path, order)


@needs_packer
def test_a_template_without_a_build_fails_the_check(tmp_path: Path, toy: ToyTarget) -> None:
    """An image that has no file for a target is refused in the preview, not in the bake."""
    write_image(tmp_path, "", "variables.pkr.hcl")
    stage(tmp_path, toy, tmp_path / "staged")
    with pytest.raises(ImageError, match="Missing build block"):
        check_template(tmp_path / "staged/template", {}, cache=tmp_path / "no")


@needs_packer
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_third_image_copies_nothing_of_a_cloud(tmp_path: Path, name: str) -> None:
    """A build block and the shared variables are a whole template on every target."""
    builder, values = THIRD_ON[name]
    if (
        f"/packer-plugin-{builder.partition('-')[0]}_"
        not in run_packer("plugins", "installed").stdout
    ):
        pytest.skip(f"Packer's plugin for {builder} is not installed")
    folder = write_image(tmp_path, THIRD.format(builder=builder, target=name), f"{name}.pkr.hcl")
    shutil.copy(ROOT / "packer/base/variables.pkr.hcl", folder)
    stage(tmp_path, ToyTarget(find_target_class(name).packer_source, name), tmp_path / "staged")
    template = tmp_path / "staged" / "template"
    given = {**find_placeholders(template, values), **values}
    done = run_packer(
        "validate", *(f"-var={key}={value}" for key, value in given.items()), template
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_packer(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Packer, in the folder that is its last word where that is a path."""
    folder = words[-1] if isinstance(words[-1], Path) else None
    return subprocess.run(
        ["packer", *words], cwd=folder, capture_output=True, text=True, check=False
    )
