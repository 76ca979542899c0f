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


def test_a_first_start_makes_a_folder_that_nobody_else_enters(copy: Path, tmp_path: Path) -> None:
    """Whatever the umask, and although the start fails: state and passphrase come to lie in it."""
    shutil.rmtree(copy / ".immutable")
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "mkdir", "dirname", "readlink", "cat", "cmp"):  # and no Python
        (tools / tool).symlink_to(str(shutil.which(tool)))
    command, path = [str(copy / "immutable"), "status"], {"PATH": str(tools)}
    done = subprocess.run(command, env=path, umask=0, capture_output=True, check=False)
    assert done.returncode == 3
    assert (copy / ".immutable").stat().st_mode & 0o7777 == 0o700


def test_a_second_start_installs_nothing_until_the_lock_changes(copy: Path, tmp_path: Path) -> None:
    """The stamp is a copy of the lock."""
    for _ in range(2):
        launch(copy, "--version")
    assert read_installs(tmp_path) == ["requirements.lock"]
    (copy / "requirements.lock").write_text("# another\n")
    launch(copy, "--version")
    assert read_installs(tmp_path) == ["requirements.lock"] * 2


def test_what_tests_need_is_installed_for_tests_only(copy: Path, tmp_path: Path) -> None:
    """`test` takes a second lock; `bench` does without, and refuses a wrong name at once.

    Going back to `up` installs nothing again.
    """
    launch(copy, "bench", "--nope")
    assert read_installs(tmp_path) == ["requirements.lock"]
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


def test_settings_of_the_users_keep_nothing_from_the_environment(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither pip nor the driver sees variables that would lead the packages elsewhere."""
    python = copy / ".immutable/venv/bin/python"
    noted = PYTHON.replace('echo "$*" >>', 'env | grep -E "^(PIP|PYTHON)" >&2; echo "$*" >>')
    python.write_text(noted.format(python=sys.executable))
    refused = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN", "PYTHONWARNINGS")
    for name in refused:
        monkeypatch.setenv(name, "error")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    done = launch(copy, "--version")
    assert done.returncode == 0, done.stderr
    seen = done.stderr.splitlines()
    assert "PIP_INDEX_URL=https://mirror.example/simple" in seen
    assert [line for line in seen if line.startswith(tuple(f"{name}=" for name in refused))] == []
    assert "--no-user" in (tmp_path / "pip").read_text()


def test_packages_that_went_elsewhere_leave_no_stamp(copy: Path, tmp_path: Path) -> None:
    """As with `target` in pip.conf: pip says that all is well. Each start says why it is not."""
    (copy / "requirements.lock").write_text("no-such-package==1.0 \\\n    --hash=sha256:00\n")
    for _ in range(2):
        done = launch(copy, "--version")
        assert done.returncode == 3
        assert "pip installed the Python packages somewhere else" in done.stderr
        assert "target" in done.stderr
    assert len(read_installs(tmp_path)) == 2
    assert not (copy / ".immutable/venv/requirements.lock").exists()


@pytest.mark.parametrize("name", ["a:b", "a::b", "a\nb", "a\n"])
def test_a_path_that_no_environment_can_lie_in_is_refused(tmp_path: Path, name: str) -> None:
    """With a colon or a line break: before anything is made there, or in a folder beside it."""
    (root := tmp_path / name).mkdir()
    (tmp_path / "a").mkdir()
    shutil.copy(CHECKOUT / "immutable", root)
    done = launch(root, "up")
    assert done.returncode == 3
    assert "a colon or a line break" in done.stderr
    assert [path.name for path in root.iterdir()] == ["immutable"]
    assert list((tmp_path / "a").iterdir()) == []
