"""Places that no run can work in are refused in the words of their cause, before a write."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from immutable_servers.driver import cli
from immutable_servers.errors import SetupError
from immutable_servers.system.unfit_places import refuse_unfit_places

VARIABLES = ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR")


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the test's own."""
    for name in VARIABLES:
        (folder := tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("XDG_DATA_HOME", ["a%2Fb", "C#", "a[1]", 'a"b', "a\\b", "a,b", "a$b", "a?b", "a*", "a:b"]),
        ("XDG_RUNTIME_DIR", ["a%b", "a,b", 'a"b']),
        ("XDG_CACHE_HOME", ["a:b", "a\nb"]),
        ("TMPDIR", ['a"b', "a\nb"]),
    ],
)
def test_what_another_program_reads_otherwise_is_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch, variable: str, names: list[str]
) -> None:
    """The error names the folder, the character, and the variable that moves the folder."""
    for name in names:
        (folder := world / name).mkdir(exist_ok=True)
        monkeypatch.setenv(variable, str(folder))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with pytest.raises(SetupError, match="has a name that other programs cannot") as refused:
            refuse_unfit_places(world)
        assert repr(next(one for one in name if not one.isalnum())) in refused.value.facts[0]
        assert f"Set {variable} to another folder" in refused.value.todo
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["it's mine", "(1) & more;", "ünï-_+@=~!", "a b"])
def test_what_can_be_quoted_is_taken_anywhere(
    world: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Spaces, single quotes, letters of any language."""
    for variable in VARIABLES:
        (folder := world / variable / name).mkdir()
        monkeypatch.setenv(variable, str(folder))
    (root := world / name).mkdir()
    refuse_unfit_places(root)


@pytest.mark.parametrize("name", ["a%2Fb", "C#", "100%", "a?b", "a[1]", 'a"b', "a\\b", "$HOME"])
def test_a_checkout_may_have_almost_any_name(world: Path, name: str) -> None:
    """What it becomes a part of can quote it."""
    refuse_unfit_places(world / name)


@pytest.mark.parametrize("name", ["a:b", "a\nb", os.fsdecode(b"caf\xe9")])
def test_a_checkout_that_cannot_be_named_elsewhere_is_refused(world: Path, name: str) -> None:
    """A colon in PATH, a line break, bytes that are no text in a resource's inputs."""
    with pytest.raises(SetupError, match="The project's folder") as refused:
        refuse_unfit_places(world / name)
    assert refused.value.todo.startswith("Move the checkout")


def test_a_user_without_a_name_is_refused(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenShift's: ssh refuses to work for one. By every command, in three parts."""

    def find_nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", find_nobody)
    monkeypatch.delenv("HOME", raising=False)
    for name in VARIABLES[:2]:
        monkeypatch.delenv(name)
    with pytest.raises(SetupError, match="This user has no name on this machine") as refused:
        refuse_unfit_places(world)
    assert f"uid {os.getuid()} has no entry" in refused.value.facts[0]
    assert "/etc/passwd" in refused.value.todo
    assert cli.run(["status"]) == SetupError.exit_code


def test_a_home_that_cannot_be_written_is_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `HOME=/` of an ordinary user; what is there already is not judged."""
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "/" or not mode)
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere/cache")
    with pytest.raises(
        SetupError, match="/nowhere/cache/immutable-servers cannot be made"
    ) as refused:
        refuse_unfit_places(world)
    assert "HOME is /" in refused.value.facts
    assert "XDG_CACHE_HOME" in refused.value.todo
