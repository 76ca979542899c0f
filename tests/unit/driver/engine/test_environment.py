"""Where state and passphrase are, and the variables that say so."""

import json
import stat
import subprocess
from pathlib import Path

import pytest

from immutable_servers.driver import cli
from immutable_servers.driver.engine import environment


def test_without_a_login_state_is_in_the_project(project: Path) -> None:
    """A file backend, and a passphrase that only this user reads and that stays the same."""
    made = environment.compute_environment(project)
    assert made["PULUMI_BACKEND_URL"] == f"file://{project}/.immutable/state?metadata=skip"
    file = Path(made["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    word = file.read_text()
    assert len(word) > 30
    environment.compute_environment(project)
    assert file.read_text() == word
    assert [entry.name for entry in file.parent.iterdir() if "passphrase" in entry.name] == [
        "passphrase"
    ]


def test_the_user_s_own_backend_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL, a token, a login, or a backend in Pulumi.yaml: then nothing of ours is set."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    assert "PULUMI_BACKEND_URL" not in environment.compute_environment(project)
    for options in ("", "?metadata=skip"):
        monkeypatch.setenv(
            "PULUMI_BACKEND_URL", f"file://{environment.state_dir(project)}{options}"
        )
        assert environment.has_own_backend(project)
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "pul-x")
    assert not environment.has_own_backend(project)
    monkeypatch.delenv("PULUMI_ACCESS_TOKEN")
    login = project / "home" / ".pulumi" / "credentials.json"
    login.parent.mkdir(parents=True)
    login.write_text(json.dumps({"current": "https://api.example.com"}))
    made = environment.compute_environment(project)
    assert "PULUMI_BACKEND_URL" not in made
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in made
    assert not (project / ".immutable").exists()
    login.unlink()
    (project / "Pulumi.yaml").write_text("name: shop\nbackend: {url: 's3://states'}\n")
    assert not environment.has_own_backend(project)


def test_the_user_s_own_passphrase_wins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made where one is set."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment.compute_environment(project)
    assert not (project / ".immutable" / "passphrase").exists()


def test_env_is_read_by_a_shell(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`eval "$(./immutable env)"` sets every variable, blanks and quotes in paths included."""
    assert cli.run(["env"]) == 0
    exports = capsys.readouterr().out
    shell = f'{exports}\nprintf %s "$PULUMI_BACKEND_URL"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == f"file://{project}/.immutable/state?metadata=skip"
    quoted = environment.render_exports({"ODD": 'it\'s a "path"'})
    shell = f'{quoted}\nprintf %s "$ODD"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout == 'it\'s a "path"'


def test_a_relative_backend_of_the_users_stays_in_the_project(project: Path) -> None:
    """Its whole path is set, with the URL's own characters quoted."""
    (project / "Pulumi.yaml").write_text("name: shop\nbackend: {url: 'file://states'}\n")
    made = environment.compute_environment(project)
    assert made["PULUMI_BACKEND_URL"] == f"file://{project}/states"


def test_a_command_closes_what_an_earlier_version_left_open(project: Path) -> None:
    """State, passphrase and settings are in a folder that nobody else enters, from then on."""
    folder = project / ".immutable"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    assert cli.run(["env"]) == 0
    for place in (folder, project / "cache" / "immutable-servers"):
        assert place.stat().st_mode & 0o7777 == 0o700
