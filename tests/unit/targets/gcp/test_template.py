"""What a server is made from: shape, launch data, window."""

import json
from typing import Any

import pytest

from harness.gcp.scripted import PLACE
from immutable_servers.contract.values import FleetSpec, Launch, Scope
from immutable_servers.errors import ImmutableError, SettingsError
from immutable_servers.targets.gcp import GcpTarget
from immutable_servers.targets.gcp.template import (
    LAUNCH,
    RECORD,
    SEALED,
    WINDOW,
    list_metadata,
    read_metadata,
    read_window,
    render_instance,
    render_metadata,
    render_shape,
    render_window,
)

SCOPE = Scope("shop", "dev", "web", "3f2a9c41")
SPEC = Launch("small", 80, "/healthz", {"GREETING": "hello"})
KEY = "ssh-ed25519 AAAA verifier"


def make_target(**settings: Any) -> GcpTarget:  # noqa: ANN401 - settings of any kind
    """Return a target with further settings."""
    return GcpTarget({**PLACE, **settings})


def test_a_server_takes_no_login_of_the_project() -> None:
    """Project-wide keys and OS Login are off, and the machine is a shielded one."""
    shape = render_shape(make_target().settings, SPEC)
    assert shape["metadata"] == {"block-project-ssh-keys": "TRUE", "enable-oslogin": "FALSE"}
    assert all(shape["shielded_instance_config"].values())
    assert shape["disks"][0]["auto_delete"]


def test_settings_shape_servers() -> None:
    """What is set is in the shape, and so in a generation's id; what is not adds nothing."""
    plain, launch = make_target().describe_shape(SPEC), SPEC
    assert plain["network_interfaces"] == [{"network": "default", "access_configs": [{}]}]
    private = make_target(public_addresses=False, subnetwork="servers").describe_shape(launch)
    assert private["network_interfaces"] == [{"subnetwork": "servers"}]
    logs = make_target(logs=True).describe_shape(launch)
    assert logs["metadata"] == {**plain["metadata"], "serial-port-logging-enable": "TRUE"}
    assert make_target(volume=20).describe_shape(launch)["disks"][0]["disk_size_gb"] == 20
    zones = make_target(zones=["europe-west3-b", "europe-west3-a"]).describe_shape(launch)
    assert zones == {**plain, "zones": ["europe-west3-a", "europe-west3-b"]}
    accounts = {"web": "web@shop-123456.iam.gserviceaccount.com"}
    own = make_target(service_accounts=accounts).describe_shape(launch)
    assert own == {**plain, "service_accounts": accounts}


def test_a_template_is_sealed() -> None:
    """It holds neither key nor window: what healing makes later boots without them."""
    metadata = render_metadata(SCOPE, SPEC, {"order": 1})
    told = json.loads(metadata[LAUNCH])
    assert told["env"] == {"GREETING": "hello"}
    assert told["generation"] == "3f2a9c41"
    assert not told["generation_header"]
    assert not {"login_key", "window_ends", "inspection_key"} & told.keys()
    assert json.loads(metadata[RECORD]) == {"order": 1}


def test_a_window_is_laid_over_it() -> None:
    """Key and end come together, and an empty text is the end of both."""
    window = render_window(KEY, 99, "ssh-ed25519 BBBB people")
    assert json.loads(window) == {
        "login_key": KEY,
        "inspection_key": "ssh-ed25519 BBBB people",
        "window_ends": 99,
    }
    assert "inspection_key" not in json.loads(render_window(KEY, 99))
    assert read_window({WINDOW: window}) == 99
    assert read_window({WINDOW: SEALED}) == read_window({}) == 0


@pytest.mark.parametrize(("key", "ends"), [("", 99), (None, 99), (KEY, 0), (KEY, None)])
def test_a_run_that_leaves_the_key_out_opens_nothing(key: str | None, ends: int | None) -> None:
    """Neither an open server without a key nor a sealed one is made by chance."""
    with pytest.raises(ImmutableError, match="leaves out what has to come first"):
        render_window(key, ends)


def test_what_does_not_fit_is_refused() -> None:
    """An `env` is in the launch data, and once more in the record: both have to fit."""
    with pytest.raises(SettingsError, match="cannot carry this env"):
        make_target().check_env({"A": "x" * 250_000})
    make_target().check_env({"A": "x" * 100_000})


def test_one_server_is_made_as_the_group_would() -> None:
    """A probe has the shape of its generation's servers, in the words of Google's interface."""
    settings = make_target(volume=20).settings
    spec = FleetSpec(SCOPE, "projects/p/global/images/im-app-1", SPEC, 1, {}, KEY, 99)
    body = render_instance(settings, spec, "probe", "europe-west3-a")
    zone = "zones/europe-west3-a"
    assert body["machineType"] == f"{zone}/machineTypes/e2-small"
    assert body["disks"][0]["initializeParams"] == {
        "sourceImage": "projects/p/global/images/im-app-1",
        "diskType": f"{zone}/diskTypes/pd-balanced",
        "diskSizeGb": "20",
    }
    metadata = read_metadata(body)
    assert json.loads(metadata[WINDOW])["login_key"] == KEY
    assert metadata["block-project-ssh-keys"] == "TRUE"
    assert body["serviceAccounts"][0]["email"] == settings.find_account(SCOPE)
    private = make_target(public_addresses=False, subnetwork="servers").settings
    card = render_instance(private, spec, "probe", "europe-west3-a")["networkInterfaces"][0]
    assert "accessConfigs" not in card
    assert card["subnetwork"].endswith("regions/europe-west3/subnetworks/servers")


def test_metadata_is_read_as_it_is_written() -> None:
    """Google has it as a list of pairs, whose empty values it leaves out."""
    assert read_metadata({"metadata": list_metadata({"b": "2", "a": "1"})}) == {"a": "1", "b": "2"}
    assert read_metadata({"metadata": {"items": [{"key": "a"}]}}) == {"a": ""}
    assert read_metadata({}) == {}
