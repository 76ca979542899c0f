"""What the package holds, and what it does not: names of targets, loose modules, the bench."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers.driver.setup.python import PINNED
from immutable_servers.targets import OWN_TARGETS

PACKAGE = ROOT / "components/immutable_servers"
NAME = re.compile(rf"(?<![/.\w])({'|'.join(sorted(OWN_TARGETS))})\b")
"""A target's name; `/usr/local` and `~/.local` hold none."""
OTHER_WORDS = {
    "driver/setup/go.py": "GOTOOLCHAIN=local: Go's own word for the toolchain that is installed",
    "images/bake.py": "local.execute: HCL's own word for a value that a template names",
    "verification/collection.py": "local://: testinfra's own word for no server",
}
"""Modules in whose strings a name of a target is another word, with what it means there."""


def list_strings(module: Path) -> Iterator[str]:
    """Yield the strings of a module that are no docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_outside_its_folder_no_target_is_named() -> None:
    """Another target is a folder and a line in the table: nothing else asks for a name."""
    found = {
        str(module.relative_to(PACKAGE)): names
        for module in sorted(PACKAGE.rglob("*.py"))
        if PACKAGE / "targets" not in module.parents
        and (names := [text for text in list_strings(module) if NAME.search(text)])
    }
    assert found.keys() == OTHER_WORDS.keys(), found


@pytest.mark.parametrize("target", ["aws", "digitalocean", "local"])
def test_set_up_and_doctor_need_no_sdk(target: str, tmp_path: Path) -> None:
    """They are run to bring it: a target's class and needs are there before its packages are."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  shop:target: {target}\n")
    program = """
import sys
from pathlib import Path
for name in ("azure", "boto3", "botocore", "pulumi_aws", "pulumi_digitalocean", "pydo"):
    sys.modules[name] = None
from immutable_servers.driver.commands.doctor.command import show_doctor
from immutable_servers.driver.opened import Opened
from immutable_servers.driver.setup.needs import list_asking_parts, list_parts, list_upstream_parts
stack = Opened(Path(sys.argv[1]), "dev")
for parts in (list_parts(stack.target_name, acts=True), list_asking_parts(stack.target_name),
              list_upstream_parts(stack.target_name)):
    assert parts
show_doctor(stack)
"""
    words = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"For stacks on {target}" in done.stdout


def test_the_locks_agree_on_each_package() -> None:
    """One environment holds them all: else each set-up would take back what another one needs."""
    versions: dict[str, set[str]] = {}
    for lock in ROOT.glob("requirements*.lock"):
        for name, version in PINNED.findall(lock.read_text(encoding="utf-8")):
            versions.setdefault(name, set()).add(version)
    assert len(versions) > 50
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_the_package_s_root_holds_what_a_program_calls_and_no_more() -> None:
    """Everything else has a folder that says what it holds."""
    files = {file.name for file in PACKAGE.iterdir() if file.is_file()}
    assert files == {"__init__.py", "errors.py", "program.py", "service.py", "py.typed"}


def test_the_wheel_holds_the_package_and_no_bench() -> None:
    """`immutable_bench` needs a checkout: who installs the package has no such command.

    A folder with an `__init__.py` is packed when its name is like a pattern of `include`:
    https://setuptools.pypa.io/en/latest/userguide/package_discovery.html
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    find = settings["tool"]["setuptools"]["packages"]["find"]
    (where,) = (ROOT / folder for folder in find["where"])
    modules = [file.relative_to(where) for file in where.rglob("*.py")]
    packages = {".".join(file.parts[:-1]) for file in modules if file.name == "__init__.py"}
    assert packages == {".".join(file.parts[:-1]) for file in modules}
    packed = {name for name in packages if any(fnmatchcase(name, i) for i in find["include"])}
    assert packages - packed >= {"immutable_bench"}
    assert {name.partition(".")[0] for name in packages - packed} == {"immutable_bench"}
    assert {name.partition(".")[0] for name in packed} == {"immutable_servers"}


def test_the_wheel_holds_what_the_package_reads_beside_its_modules() -> None:
    """A template or a policy that is not packed is missing only where nobody has a checkout."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packed = settings["tool"]["setuptools"]["package-data"]["immutable_servers"]
    files = [file for file in PACKAGE.rglob("*") if file.is_file() and file.suffix != ".py"]
    data = {file for file in files if "__pycache__" not in file.parts}
    assert data
    assert data == {file for pattern in packed for file in PACKAGE.glob(pattern)}
