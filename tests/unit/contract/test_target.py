"""What every target must do, asked of each: the same tests, one run a target."""

import ast
import inspect
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.checkout import ROOT
from immutable_servers import targets
from immutable_servers.contract.location import Location
from immutable_servers.contract.ownership import Holdings, Leftover, Owner
from immutable_servers.contract.target import Target
from immutable_servers.contract.values import Launch, Scope
from immutable_servers.errors import SettingsError
from immutable_servers.targets import find_target_class, load_target

INSTANT = ROOT / "tests/engine/instant"
SCOPE = Scope("project", "stack", "web", "3f2a9c41")
OWNER = Owner("s3://bucket", "0123456789ab", "organization", "project", "stack", "/checkout")
LAUNCH = Launch("small", 80, "/healthz", {"GREETING": "hello"})


@pytest.fixture(params=[*targets.TARGETS, "instant"])
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Target]:
    """Yield each target over an empty world of its own."""
    monkeypatch.syspath_prepend(str(INSTANT))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    own: dict[str, dict[str, str]] = {
        "instant": {"folder": str(tmp_path), "code": "1"},
        "aws": {"region": "eu-central-1"},
        "digitalocean": {"region": "fra1"},
        "gcp": {"project": "emulated-project", "region": "europe-west3"},
    }
    with ExitStack() as emulated:
        if request.param == "aws":
            from harness.aws.aws_world import start_emulation  # noqa: PLC0415 - the others do without moto

            emulated.enter_context(start_emulation())
        if request.param == "digitalocean":
            from harness.digitalocean import cloud as account  # noqa: PLC0415 - the others do without the SDK

            started = emulated.enter_context(account.start_cloud(tmp_path / "cloud"))
            started.set_manners(**account.POLITE)
            emulated.enter_context(started.lead_here())
        if request.param == "gcp":
            from harness.gcp.cloud import start_cloud  # noqa: PLC0415 - the others do without the SDK
            from harness.gcp.gcp_world import enter_world  # noqa: PLC0415

            cloud = emulated.enter_context(start_cloud(tmp_path / "cloud"))
            emulated.enter_context(enter_world(cloud))
        yield load_target(request.param, own.get(request.param, {}))


def test_a_target_is_found_by_its_name(target: Target) -> None:
    """The table, or an entry point, leads from the name to the class, and its settings parse."""
    assert find_target_class(target.name) is type(target)
    assert target.settings_model.model_json_schema()["type"] == "object"
    assert target.architecture


def test_a_place_is_known_without_asking(target: Target) -> None:
    """What the target itself knows comes on top; words are texts, as the ledger keeps them."""
    asked, unasked = target.find_location(), target.find_location(ask=False)
    assert asked.target == unasked.target == target.name
    assert unasked.words
    assert asked.words.items() >= unasked.words.items()
    assert all(isinstance(word, str) and word for word in asked.words.values())
    assert Location.from_plain(json.loads(json.dumps(asked.to_plain()))) == asked


def test_an_empty_world_is_no_error(target: Target) -> None:
    """Where nothing was ever launched or baked, every question has an empty answer."""
    assert dict(target.fleets.find(SCOPE)) == {}
    assert dict(target.balancer.find_weights(SCOPE)) == {}
    assert [*target.fleets.find_servers(SCOPE)] == []
    assert [*target.fleets.find_health(SCOPE)] == []
    assert target.images.find("app", "000000000000", "") is None
    assert [*target.images.list()] == []
    assert [*target.fleets.find_drift(SCOPE)] == []
    assert [*target.ownership.find_leftovers(lambda _owner: Holdings())] == []
    assert target.ownership.find_owner(SCOPE) is None


def test_what_is_not_there_can_be_taken_away(target: Target) -> None:
    """Deletions are for retries: a fleet, a key and a pointer that are gone are no error."""
    target.fleets.delete(SCOPE)
    target.access.delete_key(SCOPE)
    target.balancer.set_traffic(SCOPE, {})
    target.balancer.drain(SCOPE, 0, lambda _line: None)


def test_the_owner_of_a_stack_is_remembered(target: Target) -> None:
    """Each stack has its own; a stack of which nothing else is there is no leftover of the living.

    What is gone already is not removed a second time.
    """
    target.ownership.begin_update(OWNER, ())
    found = target.ownership.find_owner(SCOPE)
    assert found is None or found == OWNER
    assert target.ownership.find_owner(Scope("project", "another")) is None
    alive = Holdings(exists=True)
    assert [*target.ownership.find_leftovers(lambda _owner: alive)] == []
    gone = Leftover("fleet", "project/stack/web-3f2a9c41", "")
    assert not target.ownership.remove_leftover(gone, lambda _owner: alive)


def test_the_shape_is_plain_and_steady(target: Target) -> None:
    """What our code gives a server is plain values, the same each time, and differs by size."""
    shape = target.describe_shape(LAUNCH)
    assert json.loads(json.dumps(shape)) == shape
    assert target.describe_shape(LAUNCH) == shape
    medium = Launch("medium", 80, "/healthz")
    assert target.describe_shape(medium) != shape


def test_an_unknown_size_is_a_settings_error(target: Target) -> None:
    """The error names the word."""
    with pytest.raises(SettingsError, match="gigantic"):
        target.resolve_size("gigantic")


def test_a_key_is_made_once_and_stays_with_the_target(target: Target) -> None:
    """Asked twice, the same public key is found, as after a launch that was killed."""
    public = target.access.make_key(SCOPE)
    assert public.startswith("ssh-")
    assert "PRIVATE" not in public
    assert target.access.make_key(SCOPE) == public
    target.access.delete_key(SCOPE)


def test_no_target_imports_a_sibling(target: Target) -> None:
    """Targets are equal siblings: none reaches into another."""
    module = inspect.getmodule(type(target))
    assert module is not None
    assert module.__file__
    folder = Path(module.__file__).parent
    others = {name for name in targets.TARGETS if name != target.name}
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                parts = name.split("immutable_servers.targets.")[-1].split(".")
                assert parts[0] not in others or "targets" not in name, (file, name)
