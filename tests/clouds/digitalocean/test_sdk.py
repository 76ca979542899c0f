"""The target's own way to the API, through the real pydo, on the emulated account."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clouds.digitalocean.emulation.places import DEBIAN
from harness.cloud_world import RECORD, WEB
from harness.digitalocean.cloud import POLITE, REGION, Cloud, start_cloud
from immutable_servers.errors import LaunchError, SetupError
from immutable_servers.targets.digitalocean.api import Api
from immutable_servers.targets.digitalocean.names import (
    list_tags,
    name_server,
    read_scope,
    tag_live,
    tag_service,
    unpack_record,
)
from immutable_servers.targets.digitalocean.settings import DoSettings

SCOPE = replace(WEB, generation="3f2a9c41")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Return an account whose pages hold one thing; this process's own calls go there."""
    with start_cloud(tmp_path / "cloud") as cloud, cloud.lead_here():
        cloud.set_manners(**{**POLITE, "page": 1})
        yield cloud


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return our way there, which tries once."""
    del cloud
    return Api(DoSettings.model_validate({"region": REGION, "attempts": 1}))


def launch(api: Api, number: int) -> int:
    """Make a droplet of the generation."""
    body: dict[str, Any] = {
        "name": name_server(SCOPE, number),
        "region": REGION,
        "size": "s-1vcpu-1gb",
        "image": DEBIAN,
        "tags": list_tags(SCOPE, RECORD),
    }
    return int(api.call("droplets.create", body=body)["droplet"]["id"])


def test_a_generation_is_found_again_by_its_tags(api: Api) -> None:
    """Pages of one droplet are followed; scope and record are read from the account's own tags."""
    made = [launch(api, number) for number in (1, 2)]
    found = api.list("droplets", tag_name=tag_service(SCOPE))
    assert [one["id"] for one in found] == made
    assert read_scope(found[0]["tags"]) == SCOPE
    assert unpack_record(SCOPE, found[0]["tags"]) == RECORD


def test_droplets_go_in_and_out_by_the_live_tag(api: Api) -> None:
    """Who is untagged is no longer listed; untagging by a tag that is not there is no error."""
    made = [launch(api, number) for number in (1, 2)]
    api.untag_droplets(tag_live(SCOPE), made)
    api.tag_droplets(tag_live(SCOPE), made)
    api.untag_droplets(tag_live(SCOPE), made[:1])
    found = api.list_lately("droplets", tag_name=tag_live(SCOPE))
    assert [one["id"] for one in found] == made[1:]


def test_an_action_is_waited_for(api: Api, cloud: Cloud) -> None:
    """A completed one is returned, and an errored one is an error at once."""
    droplet, body = launch(api, 1), {"type": "snapshot", "name": "mine"}
    for fails in (False, True):
        if fails:
            cloud.fail_action("snapshot")
        action = api.call("droplet_actions.post", droplet_id=droplet, body=body)["action"]["id"]
        if fails:
            with pytest.raises(LaunchError, match="did not complete an action"):
                api.wait_action(action)
        else:
            assert api.wait_action(action)["status"] == "completed"


def test_what_is_gone_is_nothing(api: Api) -> None:
    """A missing droplet is None, and may be deleted twice."""
    droplet = launch(api, 1)
    for _ in range(2):
        api.delete("droplets", droplet_id=droplet)
    assert api.find("droplets", droplet_id=droplet) is None


def test_a_missing_scope_says_what_to_do(api: Api, cloud: Cloud) -> None:
    """The token lacks it: that is an error of the setup, with DigitalOcean's words."""
    cloud.deny("load_balancer:read")
    with pytest.raises(SetupError, match="permission is missing: load_balancer:read"):
        api.list("load_balancers")
