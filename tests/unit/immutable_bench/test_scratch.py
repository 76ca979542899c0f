"""The scratch stack: its settings, its state and its images."""

import os
from pathlib import Path

import pytest

from immutable_bench.scratch import MARK, Scratch, choose_settings, make_environment, was_made_of
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.project.files import read_values
from immutable_servers.errors import ImmutableError

SERVICE = {"image": "app", "servers": 2, "route": {"port": 8080}, "env": {"GREETING": "hello"}}


VALUES = {
    "target": "local",
    "images": {"base": {}, "app": {"parent": "base", "sources": ["source"]}},
    "services": {"web": SERVICE, "api": SERVICE},
}


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """A scratch stack in a folder."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "source").mkdir()
    settings, service = choose_settings(VALUES, 4711)
    return Scratch(Stack(tmp_path, "bench-1", {}, own=True), settings, service)


def test_the_first_service_alone_is_measured_at_a_port_of_its_own() -> None:
    """The user's port may be in use by the user's own stack; the user's values stay as they are."""
    settings, service = choose_settings(VALUES, 4711)
    assert service == "web"
    assert settings["services"] == {"web": {**SERVICE, "route": {"port": 4711}}}
    assert SERVICE["route"] == {"port": 8080}
    with pytest.raises(ImmutableError, match="no service"):
        choose_settings({"services": {}}, 4711)


def test_the_stack_file_is_one_that_the_program_reads(scratch: Scratch) -> None:
    """What is written comes back under the project's name, with the new count and env."""
    scratch.write(3, MEASURED="yes")
    read = read_values(scratch.stack.root, "bench-1")
    service = read["services"]["web"]
    assert service["servers"] == 3
    assert service["env"] == {"GREETING": "hello", "MEASURED": "yes"}
    assert read["images"] == VALUES["images"]


def test_an_image_of_the_changed_source_is_known_by_its_manifest(scratch: Scratch) -> None:
    """Only images that a measurement has made are deleted after it."""
    scratch.change_source()
    assert (scratch.stack.root / "source" / scratch.change).exists()
    assert was_made_of(scratch.change, {"sources": {"source": {scratch.change: "sha256:1"}}})
    assert not was_made_of(scratch.change, {"sources": {"source": {"server.py": "sha256:1"}}})
    assert not was_made_of(scratch.change, {})


def test_nobody_s_backend_or_passphrase_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scratch stack's state lies in its own folder, whoever is logged in."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    made = make_environment(tmp_path)
    assert made["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.immutable/state?metadata=skip"
    assert "theirs" not in made.values()
    assert made[MARK] == str(os.getpid())
