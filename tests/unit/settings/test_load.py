import json
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from harness.checkout import ROOT
from immutable_servers import targets
from immutable_servers.contract.values import Route
from immutable_servers.errors import SettingsError
from immutable_servers.planning.wish import make_routes
from immutable_servers.settings import (
    ImageSettings,
    ServiceSettings,
    load_settings,
    render_json_schema,
)
from immutable_servers.settings.schema import NAMESPACE, SCHEMA_FILE
from immutable_servers.settings.stack_files import read_stack_values

SECRET = "hunter2"  # noqa: S105 - what must never be printed


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slots: int = 4


class ToyTarget:
    name = "toy"
    settings_model = ToySettings
    can_weigh = True
    has_reserved_ips = False
    takes_overrides = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def resolve_size(self, size: str) -> dict[str, Any]:
        """Know one size."""
        if size != "small":
            what = "There is no such size"
            raise SettingsError(what, facts=["Known sizes: small"])
        return {}

    def find_misfits(self, servers: Mapping[str, int]) -> Mapping[str, str]:
        """Want no service of more than nine servers."""
        return {f"limits.{name}": "has 9 at most" for name in servers if servers[name] > 9}

    def check_env(self, env: Mapping[str, str]) -> None:
        """Carry ten variables."""
        if len(env) > 10:
            what = "Too many"
            raise SettingsError(what, facts=["at most 10"])


@pytest.fixture(autouse=True)
def toy_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a target without needs into the table."""
    module = ModuleType("toy_target_for_settings")
    module.ToyTarget = ToyTarget  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    table: dict[str, str] = {**targets.TARGETS, "toy": f"{module.__name__}:ToyTarget"}
    monkeypatch.setattr(targets, "TARGETS", table)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make the folders that the settings name."""
    for folder in ("packer/base", "packer/app", "app", "tests/servers"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def make_values() -> dict[str, Any]:
    return {
        "target": "toy",
        "images": {"base": {}, "app": {"parent": "base", "sources": ["app"]}},
        "services": {
            "web": {"image": "app", "servers": 2, "port": 80, "route": {"port": 8080}},
            "api": {"image": "app", "servers": 1, "port": 81, "route": {"host": "api.example.com"}},
        },
    }


def put(values: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of the values with one of them set."""
    changed = deepcopy(values)
    *way, last = path.split(".")
    place: Any = changed
    for part in way:
        place = place.setdefault(part, {})
    place[last] = value
    return changed


def read_mistakes(values: Mapping[str, Any], root: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(values, root)
    assert SECRET not in str(caught.value)
    return list(caught.value.facts)


def test_own_settings_of_the_target_have_to_fit_the_services(root: Path) -> None:
    """They are compared with what is set, and told with all other mistakes."""
    values = make_values()
    values["services"]["web"] |= {"servers": 10, "size": "huge"}
    with pytest.raises(SettingsError) as caught:
        load_settings(values, root)
    assert "toy.limits.web: has 9 at most" in caught.value.facts
    assert any(fact.startswith("services.web.size") for fact in caught.value.facts)


def test_fills_in_defaults(root: Path) -> None:
    """What a stack file leaves out has the documented default."""
    settings = load_settings(make_values(), root)
    web = settings.services["web"]
    assert (web.size, web.health, web.checks) == ("small", "/healthz", ("tests/servers",))
    assert (web.keep, web.keep_for, web.drain, web.canary) == (1, None, 30.0, None)
    assert settings.images["base"].upstream == {"suite": "stable"}
    assert settings.images["app"].upstream == {}
    assert settings.images["app"].deadline == 1800.0
    assert settings.target_settings == {}


def test_reads_every_setting_of_the_design(root: Path) -> None:
    """The example of the design is read as it stands."""
    values = put(make_values(), "services.web.keep_for", "24h")
    canary = {"weight": 10, "watch": "5m", "max_error_rate": 0.01, "min_requests": 200}
    values = put(values, "services.web.canary", canary)
    values = put(values, "services.web.max_age", "14d")
    web = load_settings(values, root).services["web"]
    assert (web.keep_for, web.max_age) == (86400.0, 14 * 86400.0)
    assert (web.on_failure, web.data_version) == ("keep", "")
    assert web.canary is not None
    assert (web.canary.weight, web.canary.watch) == (10, 300.0)


def test_a_canary_is_refused_where_the_balancer_cannot_split_traffic(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings are what a preview reads first, so it is refused there, for each service."""
    monkeypatch.setattr(ToyTarget, "can_weigh", False)
    load_settings(make_values(), root)
    mistakes = read_mistakes(put(make_values(), "services.web.canary", {"weight": 10}), root)
    assert mistakes == [
        "services.web.canary: needs a balancer that splits traffic, and target toy's cannot"
    ]


def test_a_reserved_ip_is_for_one_server_where_there_are_such_addresses(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused elsewhere and with more servers; then the route has the server's own port."""
    values = put(make_values(), "services.web.route", {"reserved_ip": True})
    one, path = put(values, "services.web.servers", 1), "services.web.route.reserved_ip"
    none = f"{path}: needs an address without a balancer, and target toy has none"
    assert read_mistakes(one, root) == [none]
    monkeypatch.setattr(ToyTarget, "has_reserved_ips", True)
    (mistake,) = read_mistakes(put(values, "services.web.servers", 2), root)
    assert mistake.startswith(f"{path}: leads to one server")
    settings = load_settings(one, root)
    port = settings.services["web"].port
    route = next(found for found in make_routes(settings) if found.service == "web")
    assert route == Route("web", port, reserved_ip=True)
    assert Route.from_plain(route.to_plain()) == route
    assert "reserved_ip" not in Route("web", port).to_plain()


def test_empty_image_is_an_image(root: Path) -> None:
    """`base:` without a value means the same as `base: {}`."""
    assert load_settings(put(make_values(), "images.base", None), root) == load_settings(
        make_values(), root
    )


def test_settings_are_frozen(root: Path) -> None:
    """Nothing changes a setting after it was parsed."""
    settings = load_settings(make_values(), root)
    with pytest.raises(ValueError, match="frozen"):
        settings.services["web"].servers = 5


def test_plain_values_come_back(root: Path) -> None:
    """A provider in another process makes equal settings from what resources carry."""
    settings = load_settings(put(make_values(), "services.web.keep_for", "36h"), root)
    for service in settings.services.values():
        plain = json.loads(json.dumps(service.to_plain()))
        assert ServiceSettings.from_plain(plain) == service
    for image in settings.images.values():
        assert ImageSettings.from_plain(json.loads(json.dumps(image.to_plain()))) == image


MISTAKES = [
    ("services.web.servers", "two", "'two' must be a whole number from 1 to 1000"),
    ("services.web.servers", 0, "0 must be a whole number from 1 to 1000"),
    ("services.web.servers", 2.5, "2.5 must be a whole number from 1 to 1000"),
    ("services.web.servers", True, "true must be a whole number from 1 to 1000"),
    ("services.web.servers", 1001, "1001 must be a whole number from 1 to 1000"),
    ("services.web.port", 65536, "65536 must be a whole number from 1 to 65535"),
    ("services.web.health", "healthz", "'healthz' must be a path that starts with /"),
    *(
        ("services.web.health", path, "must be a path that starts with / and has only letters,")
        for path in (
            '/healthz?"${PULUMI_CONFIG_PASSPHRASE}"',
            *("/healthz#x", "/h?q='a'", "/a\\x41", "/$HOME", "/{a}", "/a b", "/a\n", "/ä"),
            f"/{'a' * 1024}",
        )
    ),
    ("services.web.env", {"A": "a\0b"}, "no control characters"),
    ("services.web.env", {"A": "a\rb"}, "no control characters"),
    ("images.app.variables", {"A": "a\0b"}, "no control characters"),
    ("images.base.upstream", {"suite": "--setup-hook=sh"}, "does not start with a hyphen"),
    ("services.web.before_traffic", ["a\0b"], "must be a command line"),
    ("services.web.checks", ["tests/a\nb"], "must be a folder, relative to the repository"),
    ("services.web.checks_env", ["A=b"], "must be a name of letters, digits and underscores"),
    ("services.web.keep", 11, "11 must be a whole number from 0 to 10"),
    ("services.web.keep", -1, "-1 must be a whole number from 0 to 10"),
    ("services.web.keep_for", "ever", "'ever' must be a duration such as 30s, 5m, 24h or 14d"),
    ("services.web.max_age", "0d", "must be a duration such as 30s, 5m, 24h or 14d"),
    ("services.web.on_failure", "stop", "'stop' must be keep or remove"),
    ("services.web.data_version", 2, "2 must be text: put a number in quotes"),
    ("services.web.drain", "soon", "'soon' must be a duration such as 30s, 5m, 24h or 14d"),
    ("services.web.server", 2, "is no setting; did you mean servers?"),
    ("services.web.image", "ap", "'ap' is no image of this stack; did you mean app?"),
    ("services.web.route", {}, "must have one of port, host and reserved_ip"),
    ("services.web.route", {"port": 1, "host": "x"}, "must have one of port, host and reserved_ip"),
    ("services.web.checks", ["tests/a[1]"], "[0]: 'tests/a[1]' must hold no `[` and no `::`"),
    ("services.web.checks", ["tests/a::b"], "[0]: 'tests/a::b' must hold no `[` and no `::`"),
    ("services.web.checks", ["tests/nope"], "[0]: 'tests/nope' must be a folder or file of"),
    ("services.web.checks", ["../x"], "[0]: '../x' must be a folder, relative to the repository"),
    ("services.api.route", {"port": 8080}, "port: 8080 is the port of service web already"),
    ("services.Web", {}, "must be a name of at most 20 lower-case letters"),
    ("services.web.canary", {"weight": 0}, "weight: 0 must be a whole number from 1 to 99"),
    ("services.web.canary", {"weight": 100}, "weight: 100 must be a whole number from 1 to 99"),
    ("services.web.canary", {"weight": 0}, "weight: 0 must be a whole number from 1 to 99"),
    ("services.web.canary", {"watch_after": "1 h"}, "watch_after: '1 h' must be a duration"),
    ("services.web.before_traffic", "migrate", "must be a list of command lines"),
    ("services.web.before_traffic", ["  "], "[0]: '  ' must be a command line"),
    ("images.app.parent", "bsae", "'bsae' is no image of this stack; did you mean base?"),
    ("images.base.parent", "app", "must not lead back to itself: base → app → base"),
    ("images.base.parent", "base", "must not lead back to itself: base → base"),
    ("images.app.upstream", {"suite": "x"}, "is only for an image without a parent"),
    ("images.app.sources", ["app", "app/x"], "'app/x' lies in 'app', which is listed too"),
    ("images.app.sources", ["/etc"], "[0]: '/etc' must be a folder, relative to the repository"),
    ("images.db", {}, "has no template folder packer/db"),
    ("images.app.deadline", "0s", "must be a duration"),
    ("target", "tyo", "'tyo' is no target; did you mean toy?"),
    ("target", "moon", "'moon' is no target; known: aws, digitalocean, gcp, local, toy"),
    ("services.web.size", "smal", "'smal' is no size on toy; known sizes: small"),
    ("services.web.launch_overrides", {"cpu": 1}, "has no meaning: target toy has no launch"),
    ("toy", {"slot": 3}, "slot: is no setting; did you mean slots?"),
    ("toy", {"slots": "x"}, "slots: 'x' must be a valid integer"),
    ("servces", {}, "is no setting; did you mean services?"),
    ("images", {}, "must hold at least one"),
]


@pytest.mark.parametrize(("path", "value", "rule"), MISTAKES)
def test_names_path_value_and_rule(root: Path, path: str, value: object, rule: str) -> None:
    """Each mistake is told by its path, its value and the rule."""
    mistakes = read_mistakes(put(make_values(), path, value), root)
    assert any(mistake.startswith(path) and rule in mistake for mistake in mistakes), mistakes


def test_a_target_that_is_missing_or_misspelt_is_no_name_of_a_section(root: Path) -> None:
    """Its own section stays known, and what is suggested is a name that there is."""
    values = put(make_values(), "toy", {"slots": 3})
    del values["target"]
    values["taget"] = "toy"
    assert read_mistakes(values, root) == [
        "taget: is no setting; did you mean target?",
        "target: is missing; it must be the name of a target",
    ]
    values = put({**make_values(), "target": "toi"}, "toy", {"slots": 3})
    assert read_mistakes(values, root) == ["target: 'toi' is no target; did you mean toy?"]
    unknown = read_mistakes({**make_values(), "target": ["toy"], "zz": 1}, root)
    assert unknown[0] == (
        "zz: is no setting; "
        "known: aws, bake, digitalocean, gcp, images, local, prices, services, target, toy"
    )


def test_tells_all_mistakes_together(root: Path) -> None:
    """Wrong types, unknown keys, missing folders and cross checks are one report."""
    values = put(make_values(), "services.web.servers", "two")
    values = put(values, "services.web.imagee", "app")
    values = put(values, "images.app.sources", ["nope"])
    values = put(values, "images.app.parent", "bse")
    values = put(values, "target", "nowhere")
    paths = [mistake.split(": ")[0] for mistake in read_mistakes(values, root)]
    assert sorted(paths) == [
        "images.app.parent",
        "images.app.sources[0]",
        "services.web.imagee",
        "services.web.servers",
        "target",
    ]


def test_a_mistake_brings_no_second_one(root: Path) -> None:
    """One wrong value is one line."""
    values = put(make_values(), "images.app.deadline", "soon")
    assert len(read_mistakes(values, root)) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("services.web.env", {"TOKEN": {"x": SECRET}}),
        ("services.web.env", {"not a name": SECRET}),
        ("services.web.env", SECRET),
        ("services.web.launch_overrides", SECRET),
        ("images.app.variables", {"a": [SECRET]}),
        ("images.base.upstream", SECRET),
        ("services.web.unknown", SECRET),
        ("unknown", SECRET),
        ("toy", {"token": SECRET}),
        ("services.web", SECRET),
    ],
)
def test_never_prints_what_may_be_secret(root: Path, path: str, value: object) -> None:
    """Values of env, of variables and of unknown keys are not shown."""
    assert read_mistakes(put(make_values(), path, value), root)  # looks for SECRET


def test_secrets_of_images_are_known_keys(root: Path) -> None:
    """A configuration key that an image names as its secret is no unknown setting."""
    values = put(make_values(), "images.app.secrets", ["license"])
    settings = load_settings({**values, "license": SECRET}, root)
    assert settings.images["app"].secrets == ("license",)
    assert SECRET not in repr(settings)
    clash = read_mistakes(put(values, "images.app.variables", {"license": "x"}), root)
    assert clash == ["images.app.variables.license: is also one of this image's secrets"]


def test_keeps_what_is_set_of_the_targets_own(root: Path) -> None:
    """The target's values are checked and kept, without defaults; other targets' are not read."""
    values = put(make_values(), "toy", {"slots": 8})
    values["aws"] = "anything"
    assert load_settings(values, root).target_settings == {"slots": 8}


def test_an_env_that_the_target_cannot_hand_over_is_refused(root: Path) -> None:
    """In the preview already, with its path and the limit."""
    env = {f"KEY_{number}": "x" for number in range(11)}
    mistakes = read_mistakes(put(make_values(), "services.web.env", env), root)
    assert mistakes == ["services.web.env: is too large for servers on toy; at most 10"]


def test_source_may_not_lead_out_of_the_repository(root: Path) -> None:
    """A link to a folder elsewhere would make the version depend on this machine."""
    (root / "out").symlink_to(root.parent)
    mistakes = read_mistakes(put(make_values(), "images.app.sources", ["out"]), root)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("images.app.sources[0]: 'out' ")
    assert mistakes[0].endswith("leads out of it by a link")


def make_content() -> dict[str, Any]:
    """Return a stack file."""
    return {"config": {f"{NAMESPACE}:{key}": value for key, value in make_values().items()}}


@pytest.mark.sample
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_shipped_stack_files_are_valid(stack: str) -> None:
    """The repository's stack files follow the schema, and are whole with the defaults."""
    content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    jsonschema.validate(content, render_json_schema())
    settings = load_settings(read_stack_values(ROOT, stack), ROOT)
    assert (settings.target, list(settings.services)) == ("local", ["web"])


@pytest.mark.sample
def test_the_shipped_defaults_follow_the_schema() -> None:
    """`Pulumi.yaml` can say what a stack file can."""
    shared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]["defaults"]["value"]
    content = {"config": {f"{NAMESPACE}:defaults": shared}}
    jsonschema.validate(content, render_json_schema())
    content["config"][f"{NAMESPACE}:defaults"] = {**shared, "servces": {}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, render_json_schema())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("servces", {}),
        ("services", {"web": {"image": "app", "servers": 0, "port": 80, "route": {"port": 1}}}),
        ("images", {"app": {"deadline": 30}}),
        ("images", {"App": {}}),
        ("services", {"web": {"image": "app", "servers": 1, "port": 80, "route": {}}}),
        (
            "services",
            {"web": {"image": "app", "servers": 1, "port": 80, "route": {"port": 1, "host": "a"}}},
        ),
    ],
)
def test_schema_refuses_mistakes(key: str, value: object) -> None:
    """An editor marks unknown keys, wrong types and values out of range."""
    content = make_content()
    content["config"][f"{NAMESPACE}:{key}"] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, render_json_schema())


def test_schema_takes_an_image_without_a_value() -> None:
    """As the program does: `base:` is `base: {}`."""
    content = make_content()
    content["config"][f"{NAMESPACE}:images"]["base"] = None
    jsonschema.validate(content, render_json_schema())


def test_schema_takes_secrets() -> None:
    """Pulumi's own keys and secret values are let through."""
    content = make_content()
    content["config"] |= {f"{NAMESPACE}:license": {"secure": "v1:x"}, "aws:region": "eu-west-1"}
    content["encryptionsalt"] = "v1:x"
    jsonschema.validate(content, render_json_schema())


def test_schema_file_is_what_the_models_say() -> None:
    """`python -m immutable_servers.settings` was run after the last change of the models."""
    written = json.loads((ROOT / SCHEMA_FILE).read_text())
    assert written == render_json_schema()
