"""A stack is opened once by a command, and the service that is meant is chosen in one place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from immutable_servers.driver import opened
from immutable_servers.driver.engine.stack import Stack
from immutable_servers.driver.opened import Opened, choose_name
from immutable_servers.errors import SettingsError
from immutable_servers.ledger.records import ServiceLedger
from immutable_servers.settings import stack_files
from immutable_servers.system import files as system_files

CONFIG = """config:
  shop:target: local
  shop:images: {base: {}}
  shop:services:
    web: {image: base, servers: 1, port: 80, route: {port: 8080}}
    api: {image: base, servers: 1, port: 80, route: {port: 8081}}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Opened:
    """A stack with two services."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(CONFIG)
    (tmp_path / "packer/base").mkdir(parents=True)
    (tmp_path / "tests/servers").mkdir(parents=True)
    return Opened(tmp_path, "dev")


def test_a_stack_s_files_are_read_once(stack: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, scope, place and target come from one reading of each file, and are kept."""
    read: list[str] = []
    parse = system_files.read_mapping

    def note(file: Path) -> Mapping[str, Any]:
        read.append(file.name)
        return parse(file)

    monkeypatch.setattr(system_files, "read_mapping", note)
    monkeypatch.setattr(stack_files, "read_mapping", note)
    assert stack.target_name == "local"
    assert stack.target is stack.target
    assert stack.target.name == "local"
    assert stack.choose_service("web").place.scope.service == "web"
    assert stack.choose_service("web").settings.image == "base"
    assert stack.scope.project == stack.place.scope.project == "shop"
    assert read.count("Pulumi.dev.yaml") == 1


def test_ledgers_are_read_anew_each_time(stack: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run changes them: what is done after it must not see those of before."""
    empty = ServiceLedger().to_plain()
    asked: list[Stack] = []

    def read(engine: Stack) -> object:
        asked.append(engine)
        return {"ledger": dict.fromkeys(["web", "api"][: len(asked)], empty)}

    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere")
    monkeypatch.setattr(opened, "read_outputs", read)
    assert list(stack.read_ledgers()) == ["web"]
    assert list(stack.read_ledgers()) == ["web", "api"]
    assert asked == [stack.engine, stack.engine]


def test_a_stack_that_does_not_exist_is_refused_at_the_first_use(tmp_path: Path) -> None:
    """Opening reads nothing, so a command may open a stack before it looks at anything."""
    missing = Opened(tmp_path, "prod")
    for use in ("target_name", "settings", "place", "engine"):
        with pytest.raises(SettingsError, match="There is no stack 'prod'"):
            getattr(missing, use)


@pytest.mark.parametrize(
    ("named", "services", "what", "todo"),
    [
        ("", ["api", "web"], "No service is named.", "Name one of them."),
        ("wab", ["api", "web"], "There is no service 'wab' in dev.", "Did you mean web?"),
        ("mail", ["web"], "There is no service 'mail' in dev.", "Name one of them."),
    ],
)
def test_a_service_that_cannot_be_meant_is_refused_with_those_there_are(
    named: str, services: list[str], what: str, todo: str
) -> None:
    """Whether settings or ledger know the services, a user reads the same words."""
    with pytest.raises(SettingsError) as refused:
        choose_name(named, services, "dev")
    assert what in str(refused.value)
    assert refused.value.facts == (f"Services of dev: {', '.join(services)}",)
    assert refused.value.todo == todo


def test_the_only_service_need_not_be_named() -> None:
    """A named one is taken as it is."""
    assert choose_name("", ["web"], "dev") == "web"
    assert choose_name("api", ["api", "web"], "dev") == "api"


def test_a_stack_that_is_named_as_a_service_is_told(stack: Opened) -> None:
    """Commands that take the service first say where the stack goes."""
    (stack.root / "Pulumi.prod.yaml").write_text(CONFIG)
    with pytest.raises(SettingsError) as refused:
        stack.choose_service("prod")
    assert refused.value.what == "There is no service 'prod' in dev"
    assert refused.value.todo.startswith("prod is a stack: say --stack prod")
