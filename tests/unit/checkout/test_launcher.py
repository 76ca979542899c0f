"""The launcher in a copy of the checkout, with a virtual environment that is a stand-in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from immutable_servers.driver.project.files import CHECKOUT

PYTHON = """#!/bin/sh
# Stands in for the virtual environment's Python: pip notes what it is asked for.
case "$*" in
    *sysconfig*) echo "$STATE" ;;
    *"pip install"*) echo "$*" >> "$STATE/pip"; [ ! -e "$STATE/refuse" ] ;;
    *"pip --version"*) ;;
    *) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a virtual environment that works, and has no stamp yet."""
    root = tmp_path / "a checkout"
    root.mkdir()
    shutil.copy(CHECKOUT / "immutable", root)
    shutil.copy(CHECKOUT / "pyproject.toml", root)
    (root / "components").symlink_to(CHECKOUT / "components")
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (root / lock).write_text(f"# {lock}\n")
    python = root / ".immutable/venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    monkeypatch.setenv("STATE", str(tmp_path))
    return root


def launch(root: Path, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the launcher."""
    return subprocess.run(
        [str(root / "immutable"), *words],
        cwd=cwd or root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def read_installs(tmp_path: Path) -> list[str]:
    """Return the names of the locks that pip was given, in order."""
    file = tmp_path / "pip"
    lines = file.read_text().splitlines() if file.exists() else []
    assert all("--require-hashes" in line for line in lines)
    return [Path(line.rsplit("--requirement ", 1)[1]).name for line in lines]


def test_a_first_start_installs_the_locked_packages_and_hands_over(
    copy: Path, tmp_path: Path
) -> None:
    """The driver runs with the words given, from any folder, and finds the package."""
    done = launch(copy, "--version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("immutable-servers ")
    assert read_installs(tmp_path) == ["requirements.lock"]
    link = tmp_path / "immutable_servers.pth"
    assert link.read_text() == f"{copy}/components\n"


def test_a_second_start_installs_nothing_until_the_lock_changes(copy: Path, tmp_path: Path) -> None:
    """The stamp is a copy of the lock."""
    for _ in range(2):
        launch(copy, "--version")
    assert read_installs(tmp_path) == ["requirements.lock"]
    (copy / "requirements.lock").write_text("# another\n")
    launch(copy, "--version")
    assert read_installs(tmp_path) == ["requirements.lock"] * 2


def test_what_tests_need_is_installed_for_tests_only(copy: Path, tmp_path: Path) -> None:
    """`test` and `bench` take a second lock; going back to `up` installs nothing again."""
    launch(copy, "test", "--nope")
    assert read_installs(tmp_path) == ["requirements.lock", "requirements-dev.lock"]
    launch(copy, "--version")
    launch(copy, "bench", "--nope")
    assert len(read_installs(tmp_path)) == 2


def test_an_installation_that_fails_is_tried_again(copy: Path, tmp_path: Path) -> None:
    """No stamp is left behind by a failure, which says what to do and ends with 3."""
    (tmp_path / "refuse").touch()
    failed = launch(copy, "--version")
    assert failed.returncode == 3
    assert "What to do:" in failed.stderr
    (tmp_path / "refuse").unlink()
    assert launch(copy, "--version").returncode == 0
    assert len(read_installs(tmp_path)) == 2


def test_a_copied_checkout_makes_its_own_environment(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An environment knows its place, so the one that was copied along is not used."""
    assert launch(copy, "--version").returncode == 0
    moved = copy.with_name("moved")
    shutil.copytree(copy, moved, symlinks=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    for number in ("", ".11", ".12", ".13", ".14"):
        python = tools / f"python3{number}"
        python.write_text('#!/bin/sh\necho "$*" >> "$STATE/python"; [ "$2" != venv ]\n')
        python.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tools), os.environ["PATH"])))
    launch(moved, "--version")
    assert not (moved / ".immutable/venv/bin/python").exists()
    assert f"-m venv {moved}/.immutable/venv" in (tmp_path / "python").read_text()
    assert (copy / ".immutable/venv/bin/python").exists()


def test_a_machine_without_python_is_told_so(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python 3.10 alone is not enough: exit code 3, and what to install."""
    shutil.rmtree(copy / ".immutable")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tools), os.environ["PATH"])))
    done = launch(copy, "up")
    assert done.returncode == 3
    assert "No Python 3.11 or later" in done.stderr


def test_the_launcher_is_plain_sh() -> None:
    """It stays a launcher: POSIX sh that the shell's own parser takes, and short."""
    file = CHECKOUT / "immutable"
    assert file.read_text().startswith("#!/bin/sh\n")
    assert os.access(file, os.X_OK)
    assert len(file.read_text().splitlines()) < 120
    subprocess.run(["sh", "-n", str(file)], check=True)


def test_a_debian_without_ensurepip_gets_it_by_apt_or_the_command_to_type(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Apt is run where it may be; where that fails, the one command is named."""
    shutil.rmtree(copy / ".immutable")
    tools = tmp_path / "tools"
    tools.mkdir()
    stubs = {
        "python3": 'case "$*" in *ensurepip*) exit 1 ;; esac',
        "apt-get": 'echo "$*" >> "$STATE/apt"; exit 100',
        "sudo": 'shift; exec "$@"',
    }
    for name, text in stubs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tools), os.environ["PATH"])))
    done = launch(copy, "up")
    assert done.returncode == 3
    assert "python3-venv (3 MB, 10 s)" in done.stderr
    assert "sudo apt-get install -y python3-venv" in done.stderr
    assert "update" in (tmp_path / "apt").read_text()
