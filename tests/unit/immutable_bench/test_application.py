"""What is checked of a user's own application, in a checkout that has nothing of the sample."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.checkout import copy_checkout
from immutable_bench import rings
from immutable_bench.application import check_application, check_servers, list_targets_in_use

STACK = """
config:
  immutable-servers:target: local
  immutable-servers:images:
    linux: {}
    shop: {parent: linux, sources: [shop]}
  immutable-servers:services:
    shop: {image: shop, servers: 1, port: 3000, route: {port: 8099}, checks: [promises]}
"""
BUILD = """
variable "inputs" { type = string }
build {
  sources = ["source.qemu.local"]
  provisioner "file" {
    source      = var.inputs
    destination = "/var/tmp/inputs.tar"
  }
}
"""
READING = ("checkout/test_package.py", "settings/test_load.py")
"""Tests that read what a checkout holds at the places that are the user's."""
needs_packer = pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not on the PATH")
CHECK = "def test_it_runs(host):\n    assert host.service('shop').is_running\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with an application of a user's own, which is no Python."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "checkout"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "main.go").write_text("package main\n")
    (root / "promises").mkdir()
    (root / "promises" / "test_shop.py").write_text(CHECK)
    for image in ("linux", "shop"):
        (root / "packer" / image).mkdir(parents=True)
        (root / "packer" / image / "local.pkr.hcl").write_text(BUILD)
    entry = {"local": {"x86_64": {"suite": "trixie", "release": "sha256:00"}}}
    lock = {"rebuild": 0, "entries": entry}
    (root / "packer" / "linux" / "upstream.lock.json").write_text(json.dumps(lock))
    (root / "Pulumi.yaml").write_text("name: immutable-servers\nruntime: python\n")
    (root / "Pulumi.live.yaml").write_text(STACK)
    return root


def check(root: Path) -> dict[str, tuple[int, int]]:
    """Return what passed and failed of each part."""
    return {result.name: (result.passed, result.failed) for result in check_application(root)}


@needs_packer
def test_settings_templates_and_checks_are_checked(checkout: Path) -> None:
    """Each stack file, each image's template and each set of checks counts."""
    assert check(checkout) == {
        "your settings": (1, 0),
        "your templates": (2, 0),
        "your checks": (1, 0),
    }
    assert list_targets_in_use(checkout) == ["local"]


def test_a_mistake_in_a_stack_file(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told as a preview tells it, and hides nothing of the other stacks."""
    (checkout / "Pulumi.next.yaml").write_text(STACK.replace("port: 3000", "port: 0"))
    assert check(checkout)["your settings"] == (1, 1)
    assert "services.shop.port" in capsys.readouterr().err


@needs_packer
def test_a_mistake_in_a_template(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Packer's own line is shown."""
    with (checkout / "packer" / "shop" / "local.pkr.hcl").open("a") as file:
        file.write("nonsense {}\n")
    assert check(checkout)["your templates"] == (1, 1)
    assert "local.pkr.hcl line" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["import nothing_like_this\n", "def test_(:\n", ""])
def test_checks_that_cannot_be_collected(
    checkout: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """A module that is missing, a syntax error and no check at all fail before any server boots."""
    (checkout / "promises" / "test_shop.py").write_text(text)
    assert check(checkout)["your checks"] == (0, 1)
    assert "cannot be collected" in capsys.readouterr().err


def test_servers_of_a_cloud_are_left_out(checkout: Path) -> None:
    """A test costs no money: the row says which command would."""
    text = STACK.replace("target: local", "target: aws") + (
        "  immutable-servers:aws: {region: eu-west-1, verify_from: [203.0.113.0/24]}\n"
    )
    (checkout / "Pulumi.dev.yaml").write_text(text)
    (row,) = check_servers(checkout, yes=True)
    assert (row.passed, row.failed, row.skipped) == (0, 0, 1)
    assert "./immutable verify shop --stack dev" in row.note


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a clone of this checkout in which everything of the sample was put aside."""
    root = tmp_path / "clone"
    copy_checkout(root)
    for place in ("app", "tests/servers", "packer/app"):
        shutil.rmtree(root / place, ignore_errors=True)  # It may be foreign already.
    for file in root.glob("Pulumi.*.yaml"):
        file.unlink()
    (root / "app").mkdir()
    (root / "app" / "server.js").write_text("// no Python\n")
    (root / "tests" / "servers").mkdir()
    (root / "tests" / "servers" / "test_mine.py").write_text(
        "import os,sys\ndef test_x(host): pass\n"
    )
    (root / "Pulumi.live.yaml").write_text(STACK)
    return root


def test_a_foreign_application_leaves_the_products_tests_green(foreign: Path) -> None:
    """Linters look at the product's files alone; what is collected reads no sample.

    Those tests are run that read what a checkout holds at places that are the user's.
    """
    linters = rings.list_linters(product=False)
    chosen = ("-q", "-m", "not sample", "-p", "no:cacheprovider")
    words = [
        linters["ruff check"],
        linters["ruff format"],
        ("-m", "pytest", "--collect-only", *chosen, "tests/unit"),
        ("-m", "pytest", *chosen, *(f"tests/unit/{one}" for one in READING)),
    ]
    for word in words:
        done = subprocess.run(
            [sys.executable, *word], cwd=foreign, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    named = {path for line in linters.values() for path in line}
    assert not [path for path in ("app", "tests", "tests/servers", "packer") if path in named]
