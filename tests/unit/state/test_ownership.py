"""Whose a stack is: what its state says when it is asked, and who may update it."""

import gzip
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from immutable_servers.contract.ownership import Holdings, Owner
from immutable_servers.contract.values import Scope
from immutable_servers.driver.engine.holdings import ask_file, start_asking
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.errors import SettingsError
from immutable_servers.state import backend
from immutable_servers.state.claims import VARIABLE, claim, make_owner
from immutable_servers.targets.local import LocalTarget, layout

STACK = Scope("shop", "dev")
TARGET = LocalTarget({})


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder of the test's own, and nobody logged in."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(backend.BACKEND, raising=False)


def make_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Owner:
    """Make a checkout with a state that holds the stack; return it as an owner."""
    file = tmp_path / name / "state/.pulumi/stacks/shop/dev.json"
    file.parent.mkdir(parents=True)
    urns = ["urn:pulumi:dev::shop::a:b$c:d::web-aaaaaaaa", "urn:pulumi:dev::shop::c:d::balancer"]
    resources = [{"urn": urn, "type": "c:d"} for urn in urns]
    file.write_text(json.dumps({"checkpoint": {"latest": {"resources": resources}}}))
    monkeypatch.setenv(backend.BACKEND, f"file://{tmp_path / name / 'state'}")
    return make_owner(tmp_path / name, "organization", STACK)


def find_state(owner: Owner) -> Path:
    """Return the folder of an owner's state."""
    return Path(owner.backend.removeprefix("file://")) / ".pulumi"


def take(owner: Owner) -> list[str]:
    """Begin an update as this owner; return the warnings."""
    warnings: list[str] = []
    claim(TARGET, owner, warnings.append)
    TARGET.ownership.begin_update(owner, ())
    return warnings


def test_the_backend_is_chosen_as_the_cli_chooses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, then the project's file, then the login, then Pulumi Cloud.

    A file that cannot be read names no other backend: that would be another state.
    """
    assert backend.find_backend(tmp_path) == backend.CLOUD
    home = tmp_path / "home"
    home.mkdir()
    (home / "credentials.json").write_text(json.dumps({"current": "s3://login"}))
    assert backend.find_backend(tmp_path) == "s3://login"
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nbackend: {url: s3://project}\n")
    assert backend.find_backend(tmp_path) == "s3://project"
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nbackend: {url: s3://project}\nname: a\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        backend.find_backend(tmp_path)
    monkeypatch.setenv(backend.BACKEND, "s3://variable")
    assert backend.find_backend(tmp_path) == "s3://variable"


def test_an_owner_holds_no_credentials_and_tells_backends_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, password and options are left out; buckets at two endpoints are two backends."""
    made = []
    for url in ("postgres://me:hunter2@db/pulumi?host=a", "postgres://you@db/pulumi?host=b"):
        monkeypatch.setenv(backend.BACKEND, url)
        made.append(make_owner(tmp_path, "organization", STACK))
    assert {owner.backend for owner in made} == {"postgres://db/pulumi"}
    assert not made[0].is_same(made[1])
    monkeypatch.setenv(backend.BACKEND, "file://state")
    assert make_owner(tmp_path, "organization", STACK).backend == f"file://{tmp_path}/state"


def test_another_checkouts_stack_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names both checkouts, and how to go on; the one that has it goes on as before."""
    theirs = make_checkout(tmp_path, monkeypatch, "theirs")
    assert take(theirs) == []
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    with pytest.raises(SettingsError, match="belongs to another checkout") as refused:
        take(ours)
    assert f"last updated from {tmp_path}/theirs" in str(refused.value)
    assert take(theirs) == []
    monkeypatch.setenv(VARIABLE, "dev")
    (warning,) = take(ours)
    assert f"taken over from {tmp_path}/theirs" in warning
    monkeypatch.delenv(VARIABLE)
    assert take(ours) == []
    with pytest.raises(SettingsError, match="belongs to another checkout"):
        take(theirs)


def test_a_stack_whose_state_is_gone_is_taken_over_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: a checkout that was moved or deleted; a state elsewhere cannot be known to be gone."""
    theirs = make_checkout(tmp_path, monkeypatch, "theirs")
    take(theirs)
    (find_state(theirs) / "stacks/shop/dev.json").unlink()
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    assert len(take(ours)) == 1
    assert take(ours) == []
    monkeypatch.setenv(backend.BACKEND, "s3://bucket")
    remote = make_owner(tmp_path / "ours", "organization", STACK)
    with pytest.raises(SettingsError, match="s3://bucket"):
        take(remote)
    TARGET.ownership.begin_update(remote, ())
    with pytest.raises(SettingsError, match="with its state in s3://bucket"):
        take(ours)


def test_a_state_on_another_machine_is_never_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path says nothing of another machine's files: the error names it, and the way out.

    Nor is it gone where copies of a machine share an id, or where nobody recorded the machine.
    """
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    gone = replace(ours, backend=f"file://{tmp_path}/nowhere", digest="0")
    for machine, host in (("0123456789ab", "anna"), (ours.machine, "copy"), ("", "")):
        TARGET.ownership.begin_update(replace(gone, machine=machine, host=host), ())
        with pytest.raises(SettingsError, match="belongs to another checkout") as refused:
            take(ours)
        said = str(refused.value)
        assert f"on {host or 'a machine that the record does not name'}, with its state" in said
        assert "nobody can see whether that state is gone" in said
        assert f"{VARIABLE}=dev ./immutable up dev" in said
    monkeypatch.setenv(VARIABLE, "dev")
    assert len(take(ours)) == 1
    monkeypatch.delenv(VARIABLE)
    TARGET.ownership.begin_update(gone, ())
    assert len(take(ours)) == 1


def test_the_same_path_on_two_machines_is_two_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two laptops with the same user's name are refused; a new host name is no other machine.

    A record of an earlier program has only its path, and is taken for the state of that path.
    """
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    take(replace(ours, machine="0123456789ab", host="anna"))
    with pytest.raises(SettingsError, match="on anna, with its state in file://"):
        take(ours)
    for owner in (replace(ours, machine="", host=""), replace(ours, host="old-name")):
        TARGET.ownership.begin_update(owner, ())
        assert take(ours) == []
    monkeypatch.setenv(backend.BACKEND, "s3://bucket")
    remote = make_owner(tmp_path / "ours", "organization", STACK)
    TARGET.ownership.begin_update(replace(remote, machine="0123456789ab", host="anna"), ())
    assert take(remote) == []


def test_an_owner_of_another_program_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier one's record lacks the machine, a later one's may say more."""
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    take(ours)
    file = layout.owner_file(STACK)
    plain = {**json.loads(file.read_text()), "once": "known"}
    file.write_text(json.dumps(plain))
    assert TARGET.ownership.find_owner(STACK) == ours
    del plain["machine"], plain["host"]
    file.write_text(json.dumps(plain))
    assert TARGET.ownership.find_owner(STACK) == replace(ours, machine="", host="")


def test_files_of_another_machine_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sweep` would take all that the other one launched for left over."""
    ours = make_checkout(tmp_path, monkeypatch, "ours")
    for owner in (replace(ours, machine="0123456789ab", host="anna"), replace(ours, host="anna")):
        assert ask_file(owner) == Holdings(unasked="its state is in files of anna")
    assert "nobody recorded" in ask_file(replace(ours, machine="", host="")).unasked


def test_a_file_backend_says_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed or not; a stack that it does not hold is gone, an unreadable file is not asked."""
    owner = make_checkout(tmp_path, monkeypatch, "ours")
    held = Holdings(exists=True, names=frozenset({"web-aaaaaaaa", "balancer"}))
    assert ask_file(owner) == held
    file = find_state(owner) / "stacks/shop/dev.json"
    file.with_name("dev.json.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    assert ask_file(owner) == held
    file.with_name("dev.json.gz").write_bytes(b"half")
    assert "cannot be read" in ask_file(owner).unasked
    file.with_name("dev.json.gz").unlink()
    assert ask_file(owner) == Holdings()


def test_a_state_whose_folder_is_away_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is not mounted looks like one that was deleted: nothing is concluded from it."""
    owner = make_checkout(tmp_path, monkeypatch, "ours")
    (tmp_path / "ours").rename(tmp_path / "away")
    assert "gone or not mounted" in ask_file(owner).unasked


def test_a_lock_of_a_living_run_is_told_from_a_killed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By host and process; one of another machine counts as a run that is under way."""
    owner = make_checkout(tmp_path, monkeypatch, "ours")
    locks = find_state(owner) / "locks/organization/shop/dev"
    locks.mkdir(parents=True)
    for host, run in ((socket.gethostname(), "none"), ("another", "under way")):
        lock = {"pid": os.getpid(), "hostname": host}  # this process runs, and is no pulumi
        (locks / "1.json").write_text(json.dumps(lock))
        assert ask_file(owner).run == run


def test_a_backend_that_this_run_does_not_use_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is an owner that nobody recorded."""
    monkeypatch.setenv(backend.BACKEND, "s3://theirs")
    theirs = make_owner(tmp_path, "organization", STACK)
    monkeypatch.setenv(backend.BACKEND, "s3://ours")
    ask = start_asking(Stack(tmp_path, "dev", {}, own=False))
    assert "s3://theirs, which this run does not use" in ask(theirs).unasked
    assert "nobody recorded" in ask(None).unasked
